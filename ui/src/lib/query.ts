// Range and instant queries of the Prometheus API.

import { prometheus, prometheusAnswer } from './client'
import { columns, MOST_LINES, totalOf, type Columns, type PromResult, type PromSeries } from './prom'
import { stepFor, type Span } from './timerange'

/** More series are not asked for where all of them are wanted: so many may be more. */
export const MOST_SERIES = 2000

export interface RangeAnswer { series: PromSeries[]; start: number; end: number; step: number; total: number }

/** About `points` points; the grid starts on a multiple of the step, so that a moving window does not make lines dance.
 *  `highest`: only so many series, those that end highest; of how many, `total` says. */
export async function rangeSeries(query: string, span: Span, points: number, signal?: AbortSignal, highest?: number): Promise<RangeAnswer> {
  const step = stepFor(span, points)
  const start = Math.ceil(span.from_ms / 1000 / step) * step
  const end = Math.max(start, Math.floor(span.to_ms / 1000 / step) * step)
  const parameters = new URLSearchParams({ query, start: String(start), end: String(end), step: String(step), ...few(highest) })
  const { data, infos } = await prometheusAnswer<PromResult>('query_range', parameters, signal)
  const series = data.resultType === 'matrix' ? (data.result as PromSeries[]) : []
  return { series, start, end, step, total: totalOf(infos) ?? series.length }
}

/** What a chart draws: a dozen lines, the highest, and how many there are besides. The others do not cross the network. */
export async function rangeQuery(query: string, span: Span, points: number, signal?: AbortSignal, most = MOST_LINES): Promise<Columns> {
  const { series, start, end, step, total } = await rangeSeries(query, span, points, signal, most)
  const drawn = columns(series, start, end, step, most)
  return { ...drawn, hidden: total - drawn.lines.length }
}

export async function instantQuery(query: string, t_ms: number, signal?: AbortSignal): Promise<PromSeries[]> {
  return seriesOf(await prometheus<PromResult>('query', new URLSearchParams({ query, time: String(t_ms / 1000), ...few() }), signal))
}

/** The highest series at an instant, and how many there are. */
export async function highestQuery(query: string, t_ms: number, most: number, signal?: AbortSignal): Promise<{ rows: PromSeries[]; total: number }> {
  const { data, infos } = await prometheusAnswer<PromResult>('query', new URLSearchParams({ query, time: String(t_ms / 1000), ...few(most) }), signal)
  const rows = seriesOf(data)
  return { rows, total: totalOf(infos) ?? rows.length }
}

const few = (highest?: number): Record<string, string> => (highest ? { highest: String(highest) } : { limit: String(MOST_SERIES) })

function seriesOf(answer: PromResult): PromSeries[] {
  if (answer.resultType === 'scalar' || answer.resultType === 'string') return [{ metric: {}, value: answer.result as [number, string] }]
  return answer.result as PromSeries[]
}
