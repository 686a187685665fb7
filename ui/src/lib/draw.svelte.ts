// A span of a week drawn over its lanes, one a day, with a mouse. A finger scrolls instead, and a press that does not move stays a click.

import { snapped } from './week'

interface Day { start_ms: number; end_ms: number }
const LEAST_PX = 6

export class SpanDrawing {
  drawn = $state.raw<Day | null>(null)
  list: HTMLElement | undefined = $state()
  #grip: { at_ms: number; x: number; y: number } | null = null

  constructor(
    private readonly days: () => Day[],
    private readonly done: (span: Day) => void,
  ) {}

  press = (event: PointerEvent) => {
    if (event.button !== 0 || event.pointerType === 'touch' || !(event.target as Element).closest('.lane')) return
    const at_ms = this.#under(event)
    if (at_ms !== null) this.#grip = { at_ms, x: event.clientX, y: event.clientY }
  }

  move = (event: PointerEvent) => {
    const grip = this.#grip
    if (!grip || (!this.drawn && Math.hypot(event.clientX - grip.x, event.clientY - grip.y) < LEAST_PX)) return
    if (event.buttons === 0) return this.drop()
    this.list?.setPointerCapture(event.pointerId) // from here on the press is no click on what lies below
    const at_ms = this.#under(event)
    if (at_ms !== null) this.drawn = { start_ms: Math.min(grip.at_ms, at_ms), end_ms: Math.max(grip.at_ms, at_ms) }
  }

  release = () => {
    const wanted = this.drawn
    this.drop()
    if (wanted && wanted.end_ms > wanted.start_ms) this.done(wanted)
  }

  drop = () => {
    this.#grip = this.drawn = null
  }

  /** The half hour under the pointer, in whichever day's lane it is. */
  #under(event: PointerEvent): number | null {
    const lanes = [...(this.list?.querySelectorAll<HTMLElement>('.lane') ?? [])].map((lane) => lane.getBoundingClientRect())
    const at = Math.max(0, lanes.findLastIndex((lane) => event.clientY >= lane.top))
    const [lane, day] = [lanes[at], this.days()[at]]
    return lane && day ? snapped(day, (event.clientX - lane.left) / lane.width) : null
  }
}
