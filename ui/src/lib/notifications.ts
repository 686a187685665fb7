// The state of a message as shape and words.

import type { IncidentDetail, NotificationRow } from './api'
import type { Look } from './status'

const LOOK: Record<string, Look> = { accepted: 'ok', delivered: 'ok', read: 'ok', failed: 'critical', expired: 'warning', pending: 'pending', sending: 'pending', held: 'paused', cancelled: 'paused', bundled: 'info' }
const WORD: Record<string, string> = { accepted: 'sent, accepted by the provider', delivered: 'delivered', read: 'read', failed: 'failed', expired: 'expired', pending: 'waiting', sending: 'being sent', held: 'held back', cancelled: 'not needed any more', bundled: 'bundled with others' }

export const STATES = Object.keys(LOOK)

export function notificationLook(row: NotificationRow): Look {
  return LOOK[row.state] ?? 'unknown'
}

export function notificationState(row: NotificationRow): string {
  const word = WORD[row.state] ?? row.state
  const tries = row.attempts > 1 ? `, attempt ${row.attempts}` : ''
  // The provider may have taken an attempt whose answer was lost: the person may hold it twice.
  const twice = row.possible_repeat ? ', perhaps twice: an answer was lost' : ''
  const why = row.state_reason && row.state_reason !== word ? `: ${row.state_reason}` : ''
  return word + tries + why + twice
}

/** The parts of the address that the server filters by; `within` is how far back, in hours. */
const ASKED = ['incident', 'channel', 'state', 'recipient', 'q'] as const
export const FILTERS = [...ASKED, 'within']
export const WITHIN: { id: string; label: string }[] = [
  { id: '', label: 'any time' },
  { id: '1', label: 'last hour' },
  { id: '24', label: 'last 24 hours' },
  { id: '168', label: 'last 7 days' },
  { id: '720', label: 'last 30 days' },
]

/** The query of the list. `now_ms` may lag: the start of a span is rounded, so that the address does not change with each second. */
export function logQuery(get: (name: string) => string, now_ms: number): string {
  const query = new URLSearchParams(ASKED.flatMap((name) => (get(name) ? [[name, get(name)]] : [])))
  const hours = Number(get('within'))
  if (hours > 0) query.set('from', String(Math.floor((now_ms - hours * 3_600_000) / 60_000) * 60_000))
  return query.toString()
}

/** "Was I paged, and if not, why not?", from everything that an incident knows of who was considered. */
export function whyNot(incident: Pick<IncidentDetail, 'why' | 'policy_steps' | 'policy' | 'state' | 'next_escalation_to'>, person: string): string {
  if (incident.why.some((row) => row.who === person)) return ''
  const reached = incident.policy_steps.filter((step) => step.executed_ms > 0)
  const later = incident.policy_steps.filter((step) => !step.executed_ms && step.targets.some((target) => names(target, person)))
  const told = [...new Set(incident.why.filter((row) => row.told).map((row) => row.who))]
  const others = told.length ? ` Told: ${told.join(', ')}.` : ''
  if (later.length) return `${person} stands in level ${(later[0]?.index ?? 0) + 1} of the policy ${incident.policy}, which was not reached${incident.state === 'acknowledged' ? ': somebody took it before' : ''}.${others}`
  if (!incident.policy_steps.length) return `Nobody is paged by name here: the receiver tells places only.${others}`
  const levels = reached.map((step) => `level ${step.index + 1} (${step.targets.join(', ')})`).join(', ')
  return `${person} was not among those to tell: of the policy ${incident.policy}, ${levels || 'no level'} was reached${levels ? `, and ${person} was not on call there at that time` : ''}.${others}`
}

/** `user ana`, `ana` -> names ana; a schedule may hold anybody. */
function names(target: string, person: string): boolean {
  return target.replace(/^(user|person)[: ]/, '') === person
}
