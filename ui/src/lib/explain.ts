// Explain a spike: which label values make up more (or less) of it than they made up before. Shares are compared, not counts, so that a
// busier hour alone explains nothing.

import type { PromSeries } from './prom'
import { prometheus } from './client'
import { instantQuery } from './query'
import { matcher } from './red'
import type { Span } from './timerange'

export interface Difference { label: string; value: string; share: number; before: number; count: number }
export interface Explanation { differences: Difference[]; even: string[]; labels: number; left_out: number; total: number; total_before: number }

export type What = 'errors' | 'slow' | 'requests'

/** More labels than this are not asked about, and said so. */
export const MOST_LABELS = 12
/** Below this the shares of a label are called even. */
const EVEN = 0.1
const UNTELLING = new Set(['__name__', 'le', 'service', 'job'])
const BASELINE_MS = 3_600_000

const COUNT = 'http_server_request_duration_seconds_count'
const BUCKET = 'http_server_request_duration_seconds_bucket'

/** PromQL for how many there were in `seconds`, by one label; `shift_s` further back. */
export function countBy(what: What, service: string, label: string, seconds: number, shift_s: number): string {
  const range = `[${Math.max(60, Math.round(seconds))}s]${shift_s ? ` offset ${Math.round(shift_s)}s` : ''}`
  const by = label ? ` by (${label})` : ''
  const own = matcher(service)
  if (what === 'slow') return `sum${by} (increase(${BUCKET}{${own},le="+Inf"}${range})) - sum${by} (increase(${BUCKET}{${own},le=~"1|1.0"}${range}))`
  return `sum${by} (increase(${COUNT}{${own}${what === 'errors' ? ',http_response_status_code=~"5.."' : ''}}${range}))`
}

/** Biggest differences of share of one label, largest first. */
export function differences(label: string, now: PromSeries[], before: PromSeries[]): Difference[] {
  const shares = (series: PromSeries[]) => {
    const counts = new Map(series.map((one) => [one.metric[label] ?? '', Math.max(0, Number(one.value?.[1]) || 0)]))
    return { counts, total: [...counts.values()].reduce((sum, count) => sum + count, 0) }
  }
  const [then, here] = [shares(before), shares(now)]
  if (here.total === 0) return []
  const share = (of: typeof here, value: string) => (of.total === 0 ? 0 : (of.counts.get(value) ?? 0) / of.total)
  return [...new Set([...here.counts.keys(), ...then.counts.keys()])]
    .map((value) => ({ label, value, share: share(here, value), before: share(then, value), count: here.counts.get(value) ?? 0 }))
    .sort((a, b) => gap(b) - gap(a))
}

const gap = (one: Difference) => Math.abs(one.share - one.before)

export async function explain(what: What, service: string, span: Span, signal?: AbortSignal): Promise<Explanation> {
  const metric = what === 'slow' ? BUCKET : COUNT
  const known = await prometheus<string[]>('labels', new URLSearchParams({ 'match[]': `${metric}{${matcher(service)}}`, start: String(span.from_ms / 1000), end: String(span.to_ms / 1000) }), signal)
  const telling = known.filter((label) => !UNTELLING.has(label))
  const asked = telling.slice(0, MOST_LABELS)
  const seconds = (span.to_ms - span.from_ms) / 1000
  const both = (label: string) => Promise.all([instantQuery(countBy(what, service, label, seconds, 0), span.to_ms, signal), instantQuery(countBy(what, service, label, BASELINE_MS / 1000, seconds), span.to_ms, signal)])
  const [whole, ...answers] = await Promise.all(['', ...asked].map(both))
  const ranked = asked.map((label, index) => differences(label, answers[index]?.[0] ?? [], answers[index]?.[1] ?? []))
  const told = ranked.filter((one) => one[0] && gap(one[0]) >= EVEN)
  const value = (series: PromSeries[] | undefined) => Math.max(0, Number(series?.[0]?.value?.[1]) || 0)
  return {
    differences: told.flatMap((one) => one.filter((each) => each.share > each.before).slice(0, 2)).sort((a, b) => gap(b) - gap(a)),
    even: asked.filter((_, index) => ranked[index]?.length && gap(ranked[index][0] as Difference) < EVEN),
    labels: asked.length,
    left_out: telling.length - asked.length,
    total: value(whole?.[0]),
    total_before: value(whole?.[1]),
  }
}

// -- any expression, compared by the server ------------------------------------------------------------------------------

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
