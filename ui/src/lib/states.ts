// States over time: how well a thing was, slice by slice; and day by day of the reader's calendar.

import { legend, level, type Level, type Limits } from './board'
import { day } from './format'
import { columns } from './prom'
import type { RangeAnswer } from './query'
import type { Span } from './timerange'

/** A stretch of slices of one level (of one value where no limit says what is well). */
export interface Stretch { start: number; length: number; level: Level; value: number | null; tone: number }
export interface StateRow { name: string; stretches: Stretch[]; slices: number; /** Of what is 0 to 1 the mean, else the share of the slices with data that were well; null = no data. */ well: number | null; last: number | null }

export const LEVEL_WORDS: Record<Level, string> = { ok: 'well', warning: 'warning', critical: 'critical', none: 'no data' }

const NONE: Limits = { warning: null, critical: null, below: false }
/** What is 1 when well and 0 when not needs no limits: `up`, `probe_success`; between them it is the share of a slice. */
const UP: Limits = { warning: 0.999, critical: 0.5, below: true }

/** The limits a panel of states is judged by: its own; else up and down, where all values are 0 or 1; else none. */
function judged(limits: Limits, values: (number | null)[][]): Limits | null {
  if (limits.warning !== null || limits.critical !== null) return limits
  return values.every((row) => row.every((value) => value === null || (value >= 0 && value <= 1))) ? UP : null
}

export function strips(answer: RangeAnswer, template: string, panel: { thresholds: Limits }): StateRow[] {
  const { lines } = columns(answer.series, answer.start, answer.end, answer.step, Infinity)
  const limits = judged(panel.thresholds ?? NONE, lines.map((line) => line.values))
  const tones = new Map<number, number>()
  const rows = lines.map((line) => row(legend(template, line.labels), line.values, limits, tones))
  return rows.sort((a, b) => (a.well ?? 2) - (b.well ?? 2) || a.name.localeCompare(b.name, 'en', { numeric: true }))
}

function row(name: string, values: (number | null)[], limits: Limits | null, tones: Map<number, number>): StateRow {
  const stretches: Stretch[] = []
  let [well, known] = [0, 0]
  const share = limits === UP
  let latest: number | null = null
  values.forEach((value, at) => {
    const now: Level = value === null ? 'none' : limits ? level(value, limits) : 'ok'
    // Without limits a value is a state of its own, in the colour of its first appearance.
    const tone = value === null || limits ? 0 : (tones.get(value) ?? tones.set(value, (tones.size % 7) + 1).get(value) ?? 0)
    if (value !== null) {
      known += 1
      latest = value
      well += share ? value : Number(now === 'ok')
    }
    const before = stretches.at(-1)
    if (before && before.level === now && before.tone === tone) before.length += 1
    else stretches.push({ start: at, length: 1, level: now, value, tone })
  })
  return { name, stretches, slices: values.length, well: known ? well / known : null, last: latest }
}

/** A stretch as a line of a table; `toned`: its value is its state, no limit judges it. */
export interface StretchLine { name: string; well: number | null; level: Level; value: number | null; toned: boolean; from_ms: number; to_ms: number }

/** Row by row, of each the latest first. */
export function stretchLines(rows: StateRow[], range: Span): StretchLine[] {
  return rows.flatMap(({ name, well, slices, stretches }) => {
    const at = (slice: number) => range.from_ms + ((range.to_ms - range.from_ms) * slice) / slices
    return stretches.toReversed().map(({ start, length, level, value, tone }) => ({ name, well, level, value, toned: tone > 0, from_ms: at(start), to_ms: at(start + length) }))
  })
}

/** `mean` over the day's samples, by which it is judged, too. */
export interface Day { key: string; t_ms: number; mean: number; low: number; high: number; level: Level }

/** The first series by calendar day of a zone. */
export function days(answer: RangeAnswer, thresholds: Limits, zone: string | undefined): Day[] {
  const line = columns(answer.series, answer.start, answer.end, answer.step, 1).lines[0]
  const found = new Map<string, { t_ms: number; values: number[] }>()
  line?.values.forEach((value, at) => {
    if (value === null) return
    const t_ms = (answer.start + at * answer.step) * 1000
    const key = day(t_ms, zone)
    const one = found.get(key) ?? { t_ms, values: [] }
    one.values.push(value)
    found.set(key, one)
  })
  const limits = judged(thresholds, [line?.values ?? []]) ?? NONE
  return [...found].map(([key, { t_ms, values }]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    return { key, t_ms, mean, low: Math.min(...values), high: Math.max(...values), level: level(mean, limits) }
  })
}

/** Weeks from Monday on: null where the range has no such day. */
export function weeks(all: Day[], zone: string | undefined): (Day | null)[][] {
  const [first, last] = [all[0], all.at(-1)]
  if (!first || !last) return []
  const known = new Map(all.map((one) => [one.key, one]))
  const found: (Day | null)[][] = []
  let week: (Day | null)[] = new Array<null>(weekday(first.t_ms, zone)).fill(null)
  // Noon of the first day, then a day at a time by the calendar: no clock change skips or repeats one.
  const begin = new Date(`${first.key.split('/').reverse().join('-')}T12:00:00Z`).getTime()
  for (let at = begin, ended = false; !ended; at += 86_400_000) {
    const key = day(at, 'UTC')
    week.push(known.get(key) ?? null)
    ended = key === last.key
    if (week.length === 7 || ended) {
      found.push([...week, ...new Array<null>(7 - week.length).fill(null)])
      week = []
    }
  }
  return found
}

function weekday(t_ms: number, zone: string | undefined): number {
  const name = new Intl.DateTimeFormat('en-GB', { weekday: 'short', timeZone: zone }).format(t_ms)
  return Math.max(0, ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(name))
}
