// The same a while ago, drawn over what is now: the earlier lines moved onto today's grid, each as the twin of its own line.

import { labelKey, type Columns, type Line } from './prom'
import type { Span } from './timerange'

export interface Comparison { id: string; label: string; words: string }

export const COMPARISONS: Comparison[] = [
  { id: '', label: 'nothing', words: '' },
  { id: 'prev', label: 'the time before', words: 'before' },
  { id: '1d', label: 'the day before', words: 'a day before' },
  { id: '1w', label: 'last week, same weekday', words: 'a week before' },
]

const DAY_MS = 86_400_000

/** How far back, ms; 0 = no comparison. `prev` is as long a time right before. */
export function shiftOf(compare: string, span: Span): number {
  return { prev: span.to_ms - span.from_ms, '1d': DAY_MS, '1w': 7 * DAY_MS }[compare] ?? 0
}

export const wordsOf = (compare: string) => COMPARISONS.find((one) => one.id === compare)?.words ?? ''

/** `past` was asked for `shift_s` earlier. Series without a line of now are left out: a comparison needs two. */
export function beside(now: Columns, past: Columns, shift_s: number, words: string): Columns {
  const step = (now.t_s[1] ?? 0) - (now.t_s[0] ?? 0) || 1
  const offset = Math.round(((past.t_s[0] ?? 0) + shift_s - (now.t_s[0] ?? 0)) / step)
  const earlier = new Map(past.lines.map((line) => [labelKey(line.labels), line.values]))
  const twins = now.lines.flatMap((line, twin): Line[] => {
    const values = earlier.get(labelKey(line.labels))
    if (!values) return []
    return [{ name: `${line.name}, ${words}`, labels: line.labels, values: now.t_s.map((_, index) => values[index - offset] ?? null), twin, ...(line.place === undefined ? {} : { place: line.place }) }]
  })
  return { ...now, lines: [...now.lines, ...twins] }
}
