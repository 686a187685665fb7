// Exemplars: single requests behind a histogram, with the trace they belong to, as dots on its chart.

import type { Labels } from './api'
import { prometheus } from './client'
import type { Span } from './timerange'

export interface Exemplar { t_ms: number; value: number; labels: Labels }
interface Answer { seriesLabels: Labels; exemplars: { labels: Labels; value: string; timestamp: number }[] }

/** More dots than this hide the lines: of more, those with the highest values are kept. */
export const MOST_DOTS = 120

export async function exemplarsOf(query: string, span: Span, signal?: AbortSignal): Promise<Exemplar[]> {
  const parameters = new URLSearchParams({ query, start: String(span.from_ms / 1000), end: String(span.to_ms / 1000) })
  return dots((await prometheus<Answer[] | null>('query_exemplars', parameters, signal)) ?? [])
}

export function dots(answer: Answer[]): Exemplar[] {
  const all = answer.flatMap((one) => one.exemplars.map((dot) => ({ t_ms: dot.timestamp * 1000, value: Number(dot.value), labels: { ...one.seriesLabels, ...dot.labels } })))
  const known = all.filter((dot) => Number.isFinite(dot.value))
  return known.sort((a, b) => b.value - a.value).slice(0, MOST_DOTS).sort((a, b) => a.t_ms - b.t_ms)
}

/** Only of a distribution does a dot stand at its own height: a request that took 2 s says nothing on an axis of requests a second. */
export function hasDots(query: string): boolean {
  return /\bhistogram_quantile\b/.test(query)
}

/** The one next to an instant, within reach. */
export function nearest(all: Exemplar[], t_ms: number, reach_ms: number): Exemplar | undefined {
  let found: Exemplar | undefined
  for (const one of all) if (Math.abs(one.t_ms - t_ms) <= reach_ms && (!found || one.value > found.value)) found = one
  return found
}

/** The labels that lead on: the trace first, then what is not of the histogram itself. */
export function told(one: Exemplar): string {
  const names = Object.keys(one.labels).filter((name) => name !== '__name__' && name !== 'le')
  const rank = (name: string) => (/trace/i.test(name) ? 0 : /span/i.test(name) ? 1 : 2)
  return names.sort((a, b) => rank(a) - rank(b)).slice(0, 4).map((name) => `${name}=${one.labels[name]}`).join(' ')
}
