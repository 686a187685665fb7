// A panel pulled by its handle, with a mouse, a pen or a finger: it goes to the place of the panel it is let go over, or to the end of a section.

import type { Slot } from './boarddoc'

const EDGE_PX = 70
const SCROLL_PX = 14

export class Dragging {
  /** Which panel is in the hand, and where it would go. */
  place = $state<number | null>(null)
  over = $state.raw<Slot | null>(null)
  #at = { x: 0, y: 0 }

  constructor(private readonly drop: (place: number, to: Slot) => void) {}

  grab(event: PointerEvent, place: number): void {
    if (event.button !== 0) return
    ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
    this.#at = { x: event.clientX, y: event.clientY }
    this.over = null
    this.place = place
    requestAnimationFrame(this.#scroll)
  }
  move(event: PointerEvent): void {
    if (this.place === null) return
    this.#at = { x: event.clientX, y: event.clientY }
    this.over = slotAt(this.#at)
  }
  release(): void {
    const [place, over] = [this.place, this.over]
    this.cancel()
    if (place !== null && over) this.drop(place, over)
  }
  cancel(): void {
    this.place = this.over = null
  }

  /** Near the edge of the window the page goes along. */
  #scroll = (): void => {
    if (this.place === null) return
    const by = this.#at.y < EDGE_PX ? -SCROLL_PX : this.#at.y > innerHeight - EDGE_PX ? SCROLL_PX : 0
    if (by && this.over) {
      scrollBy(0, by)
      this.over = slotAt(this.#at)
    }
    requestAnimationFrame(this.#scroll)
  }
}

/** Sections carry `data-section` and the count of their panels, panels `data-index`. */
function slotAt({ x, y }: { x: number; y: number }): Slot | null {
  const under = document.elementFromPoint(x, y)
  const around = under?.closest<HTMLElement>('[data-section]')
  if (!around) return null
  const panel = under?.closest<HTMLElement>('[data-index]')
  const index = panel ? Number(panel.dataset.index) : Number(around.dataset.panels)
  return { section: Number(around.dataset.section), index }
}
