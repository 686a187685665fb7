// Figures by day: how a month went, and the one before it, in one request.

import { apart, together } from './batch'
import { prometheus } from './client'
import type { Labels } from './api'
import type { PromResult, PromSeries } from './prom'
import type { Named } from './red'

const DAY_S = 86_400

export interface Daily { labels: Labels; now: (number | null)[]; before: (number | null)[] }

/** Each expression by its name: a row for each series, its values at the ends of `days` days, and of as many before them. */
export async function daily(queries: Named[], end_ms: number, days: number, compare: boolean, signal?: AbortSignal): Promise<Map<string, Daily[]>> {
  const end = Math.floor(end_ms / 1000)
  const start = end - (days * (compare ? 2 : 1) - 1) * DAY_S
  const data = await prometheus<PromResult>('query_range', new URLSearchParams({ query: together(queries), start: String(start), end: String(end), step: String(DAY_S), limit: '5000' }), signal)
  const series = data.resultType === 'matrix' ? (data.result as PromSeries[]) : []
  return new Map(queries.map((one, index) => [one.name, (apart(queries, series)[index] ?? []).map((found) => row(found, end, days))]))
}

export function row(series: PromSeries, end_s: number, days: number): Daily {
  const [now, before] = [new Array<number | null>(days).fill(null), new Array<number | null>(days).fill(null)]
  for (const [t, text] of series.values ?? []) {
    const back = Math.round((end_s - t) / DAY_S)
    const value = Number(text)
    if (!Number.isFinite(value)) continue
    if (back < days) now[days - 1 - back] = value
    else if (back < 2 * days) before[2 * days - 1 - back] = value
  }
  return { labels: series.metric, now, before }
}

/** The middle one: a bad day is a bad day, not a bad month. */
export function median(values: (number | null)[]): number | null {
  const known = values.filter((value): value is number => value !== null).sort((a, b) => a - b)
  if (!known.length) return null
  const middle = Math.floor(known.length / 2)
  return known.length % 2 ? (known[middle] ?? null) : ((known[middle - 1] ?? 0) + (known[middle] ?? 0)) / 2
}

const COUNT = 'http_server_request_duration_seconds_count'
export const OF_SERVICES: Named[] = [
  { name: 'p95', query: 'histogram_quantile(0.95, sum by (le, service) (rate(http_server_request_duration_seconds_bucket{service!=""}[1d])))' },
  { name: 'rate', query: `sum by (service) (rate(${COUNT}{service!=""}[1d]))` },
  { name: 'errors', query: `(sum by (service) (rate(${COUNT}{service!="",http_response_status_code=~"5.."}[1d])) or 0 * sum by (service) (rate(${COUNT}{service!=""}[1d]))) / (sum by (service) (rate(${COUNT}{service!=""}[1d])) > 0)` },
]
export const OF_HOSTS: Named[] = [
  { name: 'cpu', query: '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[1d]))' },
  { name: 'memory', query: '1 - max by (instance) (avg_over_time(node_memory_MemAvailable_bytes[1d])) / max by (instance) (node_memory_MemTotal_bytes)' },
  { name: 'load', query: 'max by (instance) (avg_over_time(node_load5[1d]))' },
]
