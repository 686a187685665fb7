// Explain a spike: which label values make up more (or less) of it than they made up before. The server compares shares, not counts, so
// that a busier hour alone explains nothing.

import { matcher } from './red'
import type { Span } from './timerange'

export type What = 'errors' | 'slow' | 'requests'

const COUNT = 'http_server_request_duration_seconds_count'
const BUCKET = 'http_server_request_duration_seconds_bucket'

/** What of a service is compared, as PromQL. */
export function signal(what: What, service: string): string {
  const own = matcher(service)
  if (what === 'slow') return `histogram_quantile(0.95, sum by (le) (rate(${BUCKET}{${own}}[5m])))`
  return `sum(rate(${COUNT}{${own}${what === 'errors' ? ',http_response_status_code=~"5.."' : ''}}[5m]))`
}

export interface Explained {
  query: string
  rows: { label: string; value: string; share: number; base_share: number; shift: number; matcher: string; query: string }[]
  even: string[]
  series: number
  cut: boolean
}

export const BASELINES = [
  { id: 'before', label: 'The time before' },
  { id: 'day', label: 'The day before' },
  { id: 'week', label: 'The week before' },
]

/** What a selection is compared with: as long a time right before it, or the same time of another day. */
export function baseline({ from_ms, to_ms }: Span, against: string): Span {
  const back_ms = { day: 86_400_000, week: 604_800_000 }[against] ?? to_ms - from_ms
  return { from_ms: from_ms - back_ms, to_ms: to_ms - back_ms }
}
