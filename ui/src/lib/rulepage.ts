// What the page of a rule says about its past.

import type { Labels, RuleHistory } from './api'
import type { Band } from './chart'
import { merged } from './bands'
import { duration, percent } from './format'
import type { Look } from './status'

/** "Fired 12 times in 30 days, somebody acted on 9; half of them lasted 4m or less." */
export function pastWords(of: RuleHistory): string {
  const days = Math.round((of.now_ms - of.from_ms) / 86_400_000)
  if (of.fired === 0) return `It did not fire in the last ${days} days.`
  const times = of.fired === 1 ? 'once' : `${of.fired} times`
  const acted = of.acted === 0 ? 'nobody acted on it' : of.acted === of.fired ? 'somebody acted each time' : `somebody acted on ${of.acted}`
  const lasted = of.median_ms === null ? '' : of.fired === 1 ? `; it lasted ${duration(of.median_ms)}` : `; half of them lasted ${duration(of.median_ms)} or less`
  return `It fired ${times} in ${days} days, ${acted}${lasted}.`
}

/** Share of firings that nobody acted on, and what to make of it; null where it never fired. */
export function noiseScore(of: RuleHistory): { text: string; look: Look } | null {
  if (of.fired === 0) return null
  const share = 1 - of.acted / of.fired
  const look: Look = of.fired >= 3 && share > 0.5 ? 'warning' : 'ok'
  return { text: percent(share, 0), look }
}

export function firingBands(of: RuleHistory): Band[] {
  return merged(of.firings.map((one) => ({ from_ms: one.starts_at_ms, to_ms: one.ends_at_ms || of.now_ms, look: 'critical' as const })))
}

const LOOKS: Record<string, Look> = { firing: 'critical', clearing: 'critical', pending: 'pending', inactive: 'ok' }
export function seriesLook(state: string): Look {
  return LOOKS[state] ?? 'unknown'
}

/** What tells a series of the rule from its others. */
export function ownLabels(labels: Labels, all: Labels[]): [string, string][] {
  const own = Object.entries(labels).filter(([name]) => name !== 'alertname' && name !== '__name__')
  const telling = own.filter(([name, value]) => all.some((other) => other[name] !== value))
  return telling.length ? telling : own
}
