// Every state of the product as one of eight looks: shape, colour and word. The word is always written beside the shape.

import type { AlertRow, CheckState, IncidentRow, ServiceRow } from './api'

export type Look = 'ok' | 'warning' | 'critical' | 'maintenance' | 'silenced' | 'unknown' | 'paused' | 'pending' | 'info'

const CHECK: Record<CheckState, Look> = { up: 'ok', degraded: 'warning', down: 'critical', unknown: 'unknown', paused: 'paused', pending: 'pending' }
const CHECK_WORD: Record<CheckState, string> = { up: 'Up', degraded: 'Degraded', down: 'Down', unknown: 'Unknown', paused: 'Paused', pending: 'First run' }

export function checkLook(state: CheckState): Look {
  return CHECK[state] ?? 'unknown'
}

export function checkWord(state: CheckState): string {
  return CHECK_WORD[state] ?? state
}

/** Severities are the operator's own ordered words: the highest is critical, the lowest information, all between warn. */
export function severityLook(severity: string, severities: string[]): Look {
  if (severity === 'critical' || severity === 'page') return 'critical'
  if (severity === 'info' || severity === 'none') return 'info'
  const rank = severities.indexOf(severity)
  if (rank < 0 || severities.length < 2) return 'warning'
  if (rank === severities.length - 1) return 'critical'
  return rank === 0 && severities.length > 2 ? 'info' : 'warning'
}

export function alertLook(alert: AlertRow, severities: string[]): Look {
  if (alert.state === 'resolved') return 'ok'
  if (alert.suppressed_by.some((one) => one.kind === 'maintenance')) return 'maintenance'
  if (alert.suppressed_by.length > 0) return 'silenced'
  return alert.state === 'pending' ? 'pending' : severityLook(alert.severity, severities)
}

export function incidentLook(incident: IncidentRow, severities: string[]): Look {
  if (incident.state === 'resolved' || incident.state === 'merged') return 'ok'
  if (incident.state === 'suppressed') return 'silenced'
  return severityLook(incident.severity, severities)
}

export function serviceLook(state: ServiceRow['state']): Look {
  return state
}

const SERVICE_WORD: Record<ServiceRow['state'], string> = { ok: 'Healthy', warning: 'Degraded', critical: 'Critical', unknown: 'Unknown' }

export function serviceWord(state: ServiceRow['state']): string {
  return SERVICE_WORD[state] ?? state
}

export const STRIP_LOOK: Record<string, Look | 'none'> = { u: 'ok', g: 'warning', d: 'critical', k: 'unknown', p: 'paused', '-': 'none', '0': 'none', '1': 'critical' }

/** Worst first; within a look what has lasted longest; what is well keeps the order it came in. */
const ORDER: Look[] = ['critical', 'warning', 'unknown', 'pending', 'info', 'maintenance', 'silenced', 'paused', 'ok']

export function worstFirst<T>(rows: T[], look: (row: T) => Look, since_ms: (row: T) => number): T[] {
  const rank = new Map(rows.map((row) => [row, ORDER.indexOf(look(row))]))
  const well = ORDER.indexOf('ok')
  return [...rows].sort((a, b) => {
    const [mine = 0, other = 0] = [rank.get(a), rank.get(b)]
    return mine - other || (mine === well ? 0 : since_ms(a) - since_ms(b))
  })
}
