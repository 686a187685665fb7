// What a panel asks for and what comes of it, by its kind.

import type { Labels } from './api'
import { boardRows, heat, legend, type BoardPanel, type Heat, type Row } from './board'
import { drawnTogether } from './drawing'
import type { Columns } from './prom'
import { highestQuery, rangeQuery, rangeSeries } from './query'
import { days, strips, type Day, type StateRow } from './states'
import { stepFor, type Span } from './timerange'

/** `faults`: what is wrong with some of the expressions of `lines`. */
export interface Answer { lines?: Columns; faults?: string[]; rows?: Row[]; heat?: Heat; states?: StateRow[]; days?: Day[]; trend?: (number | null)[]; more?: number }
interface Asked { name: string; query: string }
interface Wanted { panel: BoardPanel; asked: Asked[]; range: Span; alone: boolean; all: boolean; compare: string; zone: string | undefined; signal: AbortSignal }

/** Points over time, and series: what a kind can show. Enlarged it shows more. */
export const POINTS: Partial<Record<BoardPanel['kind'], number>> = { timeseries: 240, heatmap: 90, stat: 60, timeline: 120, strip: 90 }
const MOST: Partial<Record<BoardPanel['kind'], [number, number]>> = { timeseries: [12, 20], table: [100, 1000], bars: [10, 100], honeycomb: [2000, 2000], stat: [1, 1], heatmap: [200, 200], timeline: [20, 200], strip: [20, 200], calendar: [1, 1] }
const ALL_LINES = 200
const HOUR_S = 3600
const LEAST_HOURS = 48

export function mostOf(kind: BoardPanel['kind'], alone: boolean): number {
  return MOST[kind]?.[alone ? 1 : 0] ?? 100
}

export async function answer({ panel, asked, range, alone, all, compare, zone, signal }: Wanted): Promise<Answer> {
  const [first] = asked
  const most = mostOf(panel.kind, alone)
  if (!first) return { rows: [] }
  if (panel.kind === 'timeseries') {
    const parts = asked.map((one) => ({ query: one.query, called: ({ labels }: { labels: Labels }) => ({ name: legend(one.name, labels) }) }))
    const wish = alone ? { fine: 8, means: true, stats: true } : {}
    const { data, faults } = await drawnTogether(parts, { range, points: alone ? 500 : 240, most: all ? ALL_LINES : most, compare, wish }, signal)
    return { lines: data, faults: faults.map((one) => one.message) }
  }
  if (panel.kind === 'heatmap') {
    const found = await rangeSeries(first.query, range, POINTS.heatmap ?? 90, signal, most)
    const map = heat(found.series, first.name, panel.unit, found.start, found.end, found.step)
    return { heat: { ...map, hidden: found.series.some((one) => one.metric.le !== undefined) ? 0 : found.total - map.rows.length } }
  }
  if (panel.kind === 'timeline' || panel.kind === 'strip') {
    const points = POINTS[panel.kind] ?? 90
    const ask = (query: string) => (panel.kind === 'strip' ? rangeSeries(sliced(query, stepFor(range, points)), range, points, signal, most) : rangeSeries(query, range, points, signal, most))
    const answers = await Promise.all(asked.map(async (one) => ({ name: one.name, ...(await ask(one.query)) })))
    return { states: answers.flatMap((one) => strips(one, one.name, panel)), more: answers.reduce((sum, one) => sum + one.total - one.series.length, 0) }
  }
  if (panel.kind === 'calendar') {
    // By the hour; a range of less than two days more finely, or there would be hardly a value.
    const step_s = Math.min(HOUR_S, Math.max(15, Math.round((range.to_ms - range.from_ms) / 48_000)))
    const found = await rangeSeries(first.query, range, LEAST_HOURS, signal, most, { step_s })
    return { days: days(found, panel.thresholds, zone), more: found.total - found.series.length }
  }
  // Where small values are bad, the smallest are those that matter.
  const answers = await Promise.all(asked.map(async (one) => ({ name: one.name, ...(await highestQuery(one.query, range.to_ms, most, signal, panel.thresholds.below)) })))
  const rows = boardRows(answers.map((one) => ({ name: one.name, series: one.rows })), panel.thresholds)
  const more = answers.reduce((sum, one) => sum + one.total - one.rows.length, 0)
  if (panel.kind !== 'stat') return { rows, more }
  return { rows, more, trend: (await rangeQuery(first.query, range, POINTS.stat ?? 60, signal, 1)).lines[0]?.values ?? [] }
}

/** The mean of each slice, looked at twenty times in it: an outage between two steps counts, and the mean of all is the uptime. */
function sliced(query: string, step_s: number): string {
  return `avg_over_time((${query.trim()}\n)[${step_s}s:${Math.max(15, Math.ceil(step_s / 20))}s])`
}
