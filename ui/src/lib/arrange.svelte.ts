// Panels of a saved dashboard in another order: shown at once, saved behind it, one save after the other.

import type { Board } from './board'
import { boardDoc, placed, slotOf, stepped, type BoardDoc, type Slot } from './boarddoc'

export interface Keeping {
  /** Saves the text, held against what was looked at; the dashboard as it is then. */
  write: (doc: BoardDoc, etag: string) => Promise<Board>
  saved: (board: Board) => void
  failed: (error: unknown) => void
}

export class Arranging {
  /** As it is being arranged; null = as the server has it. */
  board = $state.raw<Board | null>(null)
  /** Where the panel stands now, for those who do not see it. */
  said = $state('')
  #saving = false

  constructor(private readonly keeping: Keeping) {}

  /** One place earlier or later. Answers its new place, counted over all sections; null = it is there already. */
  step(seen: Board, place: number, by: -1 | 1): number | null {
    const board = this.board ?? seen
    const from = slotOf(board, place)
    const to = from && stepped(board, from, by)
    if (to) return this.move(seen, place, to)
    this.said = by < 0 ? 'It is the first.' : 'It is the last.'
    return null
  }

  move(seen: Board, place: number, wanted: Slot): number | null {
    const board = this.board ?? seen
    const from = slotOf(board, place)
    // "After the last" of its own section is where the last one stands.
    const room = (board.sections[wanted.section]?.panels.length ?? 0) - Number(from?.section === wanted.section)
    const to = { section: wanted.section, index: Math.min(wanted.index, room) }
    if (!from || (from.section === to.section && from.index === to.index)) return null
    this.board = placed(board, from, to)
    const section = this.board.sections[to.section]
    this.said = `${section?.panels[to.index]?.title ?? ''} is now ${to.index + 1} of ${section?.panels.length ?? 0} in ${section?.title ?? ''}.`
    void this.#save(seen.etag ?? '')
    return this.board.sections.slice(0, to.section).reduce((sum, one) => sum + one.panels.length, to.index)
  }

  /** What is moved while a save is under way goes with the next one. */
  async #save(etag: string): Promise<void> {
    if (this.#saving) return
    this.#saving = true
    try {
      while (this.board) {
        const sent = this.board
        const saved = await this.keeping.write(boardDoc(sent), etag)
        etag = saved.etag ?? ''
        if (this.board !== sent) continue
        this.keeping.saved(saved)
        this.board = null
      }
    } catch (error) {
      this.board = null
      this.said = ''
      this.keeping.failed(error)
    } finally {
      this.#saving = false
    }
  }
}
