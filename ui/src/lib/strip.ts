// Strips: a string of letters, one per equal slice of time, as runs that an SVG draws with few rectangles and a reader hears as words.

import type { Window } from './api'
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

/** Minutes that a letter of a strip stands for. */
export const SLICE_MIN: Record<Window, number> = { '24h': 30, '7d': 240, '30d': 1440, '90d': 1440 }

/** "last 24 h: down about 1h 30m, degraded 30m"; the text of the strip for those who do not see it. */
export function describe(letters: string, slice_min: number, critical = 'down'): string {
  const slices = new Map<string, number>()
  for (const run of runs(letters)) {
    const word = run.look === 'critical' ? critical : WORDS[run.look]
    if (word) slices.set(word, (slices.get(word) ?? 0) + run.length)
  }
  const hours = Math.round((letters.length * slice_min) / 60)
  const span = hours > 48 ? `last ${Math.round(hours / 24)} days` : `last ${hours} h`
  if (slices.size === 0) return letters.replace(/[-0]/g, '') ? `${span}: no fault` : `${span}: ${critical === 'down' ? 'no data' : 'did not fire'}`
  return `${span}: ${[...slices].map(([word, count]) => `${word} ${amount(count, slice_min)}`).join(', ')}`
}

/** A slice shows its worst: of days it says on how many, not for how long. */
function amount(count: number, slice_min: number): string {
  if (slice_min >= 1440) return `on ${count} ${count === 1 ? 'day' : 'days'}`
  const minutes = count * slice_min
  return `about ${minutes >= 60 ? `${minutes / 60} h` : `${minutes} min`}`
}
