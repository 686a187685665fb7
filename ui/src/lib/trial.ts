// POST /backtest: what a rule would have done, and that answer as bars, a curve and words.

import { duration, number } from './format'

export interface TrialFiring { labels: Record<string, string>; fired_ms: number; resolved_ms: number; value: number | null }
export interface TrialSummary { firings: number; per_week: number; at_night: number; short: number; again: number; median_ms: number; longest_ms: number; still_firing: number; alerts: number }
export interface TrialAnswer {
  start_ms: number
  end_ms: number
  firings: TrialFiring[] // the newest, oldest first; resolved_ms 0 = still firing at the end
  cut: boolean
  summary: TrialSummary | null // null = it would never have fired
  threshold: number | null
  thresholds: { threshold: number; firings: number }[]
  notes: string[]
}

const DAY_MS = 86_400_000
const MOST_EVALUATIONS = 50_000

/** The rule's own interval, unless that would be too many evaluations for an answer while somebody waits. */
export function intervalFor(interval_ms: number, days: number): number {
  const least = Math.ceil((days * DAY_MS) / MOST_EVALUATIONS / 15_000) * 15_000
  return Math.max(interval_ms, least > 15_000 ? least : 15_000)
}

const times = (count: number, word = 'time') => `${count} ${word}${count === 1 ? '' : 's'}`

/** Figures for a person who decides whether to be woken by this. */
export function figures(summary: TrialSummary): { label: string; value: string; hint: string }[] {
  return [
    { label: 'per week', value: number(summary.per_week, summary.per_week < 10 ? 1 : 0), hint: '' },
    { label: 'at night', value: String(summary.at_night), hint: '22:00 to 07:00' },
    { label: 'median length', value: duration(summary.median_ms), hint: `longest ${duration(summary.longest_ms)}` },
    { label: 'over within 5 min', value: String(summary.short), hint: 'hardly worth waking for' },
    { label: 'back within 10 min', value: String(summary.again), hint: 'it flaps' },
  ]
}

export function verdict(answer: TrialAnswer, days: number): string {
  const span = days === 1 ? 'the last day' : `the last ${days} days`
  if (!answer.summary) return `It would not have fired in ${span}.`
  const { firings, alerts, still_firing } = answer.summary
  const wide = alerts > 1 ? `, for ${alerts} different things` : ''
  return `It would have fired ${times(firings)} in ${span}${wide}${still_firing ? `; ${still_firing} would fire now` : ''}.`
}

export interface Bar { start: number; width: number; count: number; from_ms: number; to_ms: number }

/** Firings as bars over 0..1; what overlaps or touches on the screen is one bar. */
export function bars(answer: Pick<TrialAnswer, 'firings' | 'start_ms' | 'end_ms'>, least = 0.004): Bar[] {
  const span = answer.end_ms - answer.start_ms
  const found: Bar[] = []
  const sorted = answer.firings.map((one) => ({ from_ms: Math.max(one.fired_ms, answer.start_ms), to_ms: one.resolved_ms || answer.end_ms })).sort((a, b) => a.from_ms - b.from_ms)
  for (const one of sorted) {
    const last = found.at(-1)
    const start = Math.min((one.from_ms - answer.start_ms) / span, 1 - least)
    if (last && start <= last.start + last.width) {
      last.count += 1
      last.to_ms = Math.max(last.to_ms, one.to_ms)
    } else found.push({ start, width: least, count: 1, ...one })
    const bar = found[found.length - 1] as Bar
    bar.width = Math.min(1 - bar.start, Math.max(bar.width, (bar.to_ms - answer.start_ms) / span - bar.start))
  }
  return found
}

export interface Curve { points: { x: number; y: number; threshold: number; firings: number }[]; at: number | null; most: number; low: number; high: number; log: boolean }

const WIDE = 50

/** Firings per threshold in a unit square, y upwards. Values that span decades are drawn by their logarithm. */
export function curve(thresholds: TrialAnswer['thresholds'], threshold: number | null): Curve | null {
  const sorted = [...thresholds].sort((a, b) => a.threshold - b.threshold)
  const [low, high] = [sorted[0]?.threshold ?? 0, sorted.at(-1)?.threshold ?? 0]
  if (sorted.length < 2 || !(high > low)) return null
  const log = low > 0 && high / low > WIDE
  const scale = (value: number) => (log ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (value - low) / (high - low))
  const most = Math.max(1, ...sorted.map((one) => one.firings))
  const inside = threshold !== null && threshold >= low && threshold <= high
  return { points: sorted.map((one) => ({ ...one, x: scale(one.threshold), y: one.firings / most })), at: inside ? scale(threshold) : null, most, low, high, log }
}
