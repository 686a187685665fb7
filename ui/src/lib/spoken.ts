// What a screen reader is told while somebody is elsewhere on the page: new critical alerts, politely, and not in a torrent.

import type { Overview } from './api'

export interface Heard { critical: number; incidents: ReadonlySet<number> }

/** At most one sentence in this time; what comes meanwhile is said together after it. */
export const PAUSE_MS = 15_000

export const heardOf = (overview: Overview): Heard => ({ critical: overview.alerts.firing.critical ?? 0, incidents: new Set(overview.incidents.map((one) => one.number)) })

/** "2 new critical alerts. #12 Checkout errors, #13 ...": '' = nothing new to say. An alert that takes the place of another is new, too. */
export function news(before: Heard, overview: Overview): string {
  const now = heardOf(overview)
  const opened = overview.incidents.filter((one) => one.severity === 'critical' && one.state === 'triggered' && !before.incidents.has(one.number))
  const more = Math.max(now.critical - before.critical, opened.length)
  if (more <= 0) return ''
  const named = opened.slice(0, 3).map((one) => `#${one.number} ${one.title}`)
  const left = opened.length - named.length
  return [`${more} new critical alert${more > 1 ? 's' : ''}.`, named.length ? `${named.join(', ')}${left > 0 ? `, and ${left} more incidents` : ''}.` : '', overview.sentence].filter(Boolean).join(' ')
}
