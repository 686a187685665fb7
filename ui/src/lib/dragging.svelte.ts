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
    this.#look()
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
      this.#look()
    }
    requestAnimationFrame(this.#scroll)
  }
  #look(): void {
    const now = slotAt(this.#at)
    if (now !== undefined) this.over = now
  }
}

/** Sections carry `data-section`, their panels `data-index`. What lies over the page (the bar of a phone) is looked through.
 *  Behind the last panel is the end of the section; null = no section; undefined = between two panels, where nothing changes. */
function slotAt({ x, y }: { x: number; y: number }): Slot | null | undefined {
  const under = document.elementsFromPoint(x, y)
  const around = closest(under, '[data-section]')
  if (!around) return null
  const section = Number(around.dataset.section)
  const panel = closest(under, '[data-index]')
  if (panel) return { section, index: Number(panel.dataset.index) }
  const panels = around.querySelectorAll('[data-index]')
  const last = panels[panels.length - 1]?.getBoundingClientRect()
  const behind = !last || y > last.bottom || (y >= last.top && x > last.right)
  return behind ? { section, index: panels.length } : undefined
}

function closest(all: Element[], selector: string): HTMLElement | undefined {
  return all.flatMap((one) => one.closest<HTMLElement>(selector) ?? [])[0]
}
