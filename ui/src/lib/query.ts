// Range and instant queries of the Prometheus API.

import { prometheus } from './client'
import { columns, type Columns, type PromResult, type PromSeries } from './prom'
import { stepFor, type Span } from './timerange'

/** More series are not asked for: a chart shows a dozen, and says that there are more. */
export const MOST_SERIES = 2000

export interface RangeAnswer { series: PromSeries[]; start: number; end: number; step: number }

/** About `points` points; the grid starts on a multiple of the step, so that a moving window does not make lines dance. */
export async function rangeSeries(query: string, span: Span, points: number, signal?: AbortSignal): Promise<RangeAnswer> {
  const step = stepFor(span, points)
  const start = Math.ceil(span.from_ms / 1000 / step) * step
  const end = Math.max(start, Math.floor(span.to_ms / 1000 / step) * step)
  const parameters = new URLSearchParams({ query, start: String(start), end: String(end), step: String(step), limit: String(MOST_SERIES) })
  const answer = await prometheus<PromResult>('query_range', parameters, signal)
  return { series: answer.resultType === 'matrix' ? (answer.result as PromSeries[]) : [], start, end, step }
}

export async function rangeQuery(query: string, span: Span, points: number, signal?: AbortSignal, most?: number): Promise<Columns> {
  const { series, start, end, step } = await rangeSeries(query, span, points, signal)
  return { ...columns(series, start, end, step, most), cut: series.length >= MOST_SERIES }
}

export async function instantQuery(query: string, t_ms: number, signal?: AbortSignal): Promise<PromSeries[]> {
  const answer = await prometheus<PromResult>('query', new URLSearchParams({ query, time: String(t_ms / 1000), limit: String(MOST_SERIES) }), signal)
  if (answer.resultType === 'scalar' || answer.resultType === 'string') return [{ metric: {}, value: answer.result as [number, string] }]
  return answer.result as PromSeries[]
}
