// GET /checks/{id}/uptime: calendar periods, each cut at now. Unknown time is neither up nor down.

import { duration, percent } from './format'
import type { Look } from './status'

export type Period = 'day' | 'month' | 'year'
export interface PeriodUptime { start_ms: number; end_ms: number; ratio: number | null; down_ms: number; unknown_ms: number }
export interface UptimeAnswer { period: Period; time_zone: string; periods: PeriodUptime[] }

export const COUNTS: Record<Period, number> = { day: 90, month: 12, year: 5 }
/** What a bar says: a day with less than this is a bad one. */
const BAD = 0.99

export function look(one: PeriodUptime): Look | 'none' {
  if (one.ratio === null) return 'none'
  return one.ratio >= 1 ? 'ok' : one.ratio >= BAD ? 'warning' : 'critical'
}

/** Uptime of all periods together, over known time; null where nothing is known. */
export function overall(periods: PeriodUptime[]): { ratio: number | null; down_ms: number; unknown_ms: number; known_ms: number } {
  let [down_ms, unknown_ms, known_ms] = [0, 0, 0]
  for (const one of periods) {
    down_ms += one.down_ms
    unknown_ms += one.unknown_ms
    known_ms += one.end_ms - one.start_ms - one.unknown_ms
  }
  return { ratio: known_ms > 0 ? (known_ms - down_ms) / known_ms : null, down_ms, unknown_ms, known_ms }
}

export function name(one: PeriodUptime, period: Period, zone: string): string {
  const options: Intl.DateTimeFormatOptions = period === 'day' ? { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' } : period === 'month' ? { month: 'long', year: 'numeric' } : { year: 'numeric' }
  return new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone }).format(one.start_ms)
}

/** "99.93 % up, down 1m": what stands beside the name. */
export function says(one: PeriodUptime): string {
  if (one.ratio === null) return 'not watched'
  const known_ms = one.end_ms - one.start_ms - one.unknown_ms
  const parts = [`${percent(one.ratio, 2)} up`]
  if (one.down_ms > 0) parts.push(`down ${duration(one.down_ms)}`)
  if (one.unknown_ms > 60_000) parts.push(`known for ${duration(known_ms)}`)
  return parts.join(', ')
}
