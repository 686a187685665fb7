// What the form of a silence computes.

import type { SilenceRow } from './api'
import { printMatcher, type Matcher } from './matchers'
import { localInstant, localText } from './week'

export const HOURS = [1, 2, 4, 8, 24, 72]
/** Not for a number of hours, but until a time that is typed. */
export const OWN_TIME = 0

/** When it would end; null = what is typed is no time. A time that was not touched stays to the millisecond. */
export function endOf(hours: number, until: string, stands: SilenceRow | null, now_ms: number, zone: string | undefined): number | null {
  if (hours !== OWN_TIME) return now_ms + hours * 3_600_000
  if (stands && until === localText(stands.ends_at_ms, zone)) return stands.ends_at_ms
  return localInstant(until, zone)
}

/** Alertmanager's rule: the same matchers in any order are the same silence; others end it and begin a new one. */
export function sameMatchers(some: Matcher[], others: Matcher[]): boolean {
  const text = (list: Matcher[]) => list.map(printMatcher).sort().join('\n')
  return text(some) === text(others)
}

/** `for=2h` of a link to the form: hours, 2 when it says nothing that can be read. */
export function hoursOf(text: string): number {
  const found = /^(\d{1,4})([mhdw])$/.exec(text.trim())
  if (!found) return 2
  const unit = { m: 1 / 60, h: 1, d: 24, w: 168 }[found[2] as 'm' | 'h' | 'd' | 'w']
  return Number(found[1]) * unit || 2
}
