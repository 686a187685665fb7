// The state of a message as shape and words.

import type { NotificationRow } from './api'
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
  return row.state_reason ? `${word}${tries}: ${row.state_reason}` : word + tries
}
