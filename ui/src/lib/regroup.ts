// Split and merge: which alerts may leave an incident, and which incident another may become part of.

import type { AlertRow, IncidentDetail, IncidentRow } from './api'
import { contains } from './matchers'

/** Of several rows of one alert the newest counts: it left and came back. */
export function movable(alerts: AlertRow[]): AlertRow[] {
  const newest = new Map<string, AlertRow>()
  for (const alert of alerts) if ((newest.get(alert.fingerprint)?.starts_at_ms ?? -1) < alert.starts_at_ms) newest.set(alert.fingerprint, alert)
  return [...newest.values()]
}

/** Why this choice is no split, in words; empty = it is one. The server judges the same way. */
export function splitFault(alerts: AlertRow[], chosen: ReadonlySet<string>): string {
  const moving = alerts.filter((one) => chosen.has(one.fingerprint))
  if (!moving.length) return 'Choose the alerts that are something else.'
  if (moving.length === alerts.length) return 'These are all of them: leave at least one where it is.'
  if (moving.every((one) => one.state === 'resolved')) return 'All of these have ended: an incident begins with an alert that fires.'
  return ''
}

/** Open incidents that `mine` can be merged into: those of its service first, then the oldest, as the text narrows them. */
export function targets(mine: Pick<IncidentDetail, 'number' | 'service'>, open: IncidentRow[], text: string): IncidentRow[] {
  const exact = text.trim().startsWith('#') // a number, not a word of titles
  const wanted = text.trim().replace(/^#/, '')
  const same = (one: IncidentRow) => Number(one.service !== '' && one.service === mine.service)
  return open
    .filter((one) => one.number !== mine.number && (String(one.number) === wanted || (exact ? String(one.number).startsWith(wanted) : contains(wanted, `#${one.number}`, one.title, one.service, one.severity))))
    .sort((a, b) => Number(String(b.number) === wanted) - Number(String(a.number) === wanted) || same(b) - same(a) || a.created_ms - b.created_ms)
}
