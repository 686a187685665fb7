// Which rows of a long list are worth drawing.

export interface Window { start: number; end: number; before: number; after: number }

/** Lists this short are drawn whole: find-in-page and printing then work as everywhere. */
const WHOLE = 120

/** `scrolled` px of the list have left the top of a viewport of `viewport` px; half a screen more on each side is kept. */
export function windowOf(count: number, rowHeight: number, scrolled: number, viewport: number): Window {
  if (count <= WHOLE) return { start: 0, end: count, before: 0, after: 0 }
  const spare = viewport / 2
  const start = Math.max(0, Math.min(count, Math.floor((scrolled - spare) / rowHeight)))
  const end = Math.max(start, Math.min(count, Math.ceil((scrolled + viewport + spare) / rowHeight)))
  return { start, end, before: start * rowHeight, after: (count - end) * rowHeight }
}
