// Strips: a string of letters, one per equal slice of time, as runs that an SVG draws with few rectangles and a reader hears as words.

import { STRIP_LOOK, type Look } from './status'

export interface Run { start: number; length: number; look: Look | 'none' }

export function runs(letters: string): Run[] {
  const found: Run[] = []
  for (let index = 0; index < letters.length; index++) {
    const look = STRIP_LOOK[letters[index] ?? '-'] ?? 'none'
    const before = found.at(-1)
    if (before && before.look === look) before.length += 1
    else found.push({ start: index, length: 1, look })
  }
  return found
}

/** Half hours as hours, for alerts: an hour in which it fired at all. 48 letters -> 24 blocks. */
export function hourly(letters: string): string {
  return letters.replace(/../g, (pair) => (pair.includes('1') ? '1' : (pair[0] ?? '0')))
}

const WORDS: Partial<Record<Look | 'none', string>> = { critical: 'down', warning: 'degraded', unknown: 'unknown', paused: 'paused' }

/** "last 24 h: down 1h 30m, degraded 30m"; the text of the strip for those who do not see it. */
export function describe(letters: string, slice_min: number, critical = 'down'): string {
  const minutes = new Map<string, number>()
  for (const run of runs(letters)) {
    const word = run.look === 'critical' ? critical : WORDS[run.look]
    if (word) minutes.set(word, (minutes.get(word) ?? 0) + run.length * slice_min)
  }
  const hours = Math.round((letters.length * slice_min) / 60)
  if (minutes.size === 0) return letters.replace(/[-0]/g, '') ? `last ${hours} h: no fault` : `last ${hours} h: ${critical === 'down' ? 'no data' : 'did not fire'}`
  return `last ${hours} h: ${[...minutes].map(([word, count]) => `${word} about ${count >= 60 ? `${count / 60} h` : `${count} min`}`).join(', ')}`
}
