// Words for the state of an incident, as a person would say them.

import type { IncidentRow } from './api'

/** While it flaps, that comes first: who has it matters less than that it will not be told of again until it settles. */
export function incidentWord(incident: IncidentRow): string {
  return incident.flapping ? `flapping, ${holder(incident)}` : holder(incident)
}

function holder(incident: IncidentRow): string {
  switch (incident.state) {
    case 'triggered':
      return 'nobody has it yet'
    case 'acknowledged':
      return `${incident.acknowledged_by || 'somebody'} has it`
    case 'snoozed':
      return incident.acknowledged_by ? `snoozed by ${incident.acknowledged_by}` : 'snoozed'
    case 'suppressed':
      return 'every alert is silenced'
    case 'merged':
      return 'merged'
    default:
      return incident.resolved_by ? `resolved by ${incident.resolved_by}` : 'resolved by itself'
  }
}

export function open(incident: IncidentRow): boolean {
  return incident.state !== 'resolved' && incident.state !== 'merged'
}

/** Mean times over the incidents that were acknowledged, and that were resolved; null where none was. */
export function means(incidents: IncidentRow[]): { acknowledge_ms: number | null; resolve_ms: number | null } | null {
  if (incidents.length === 0) return null
  const mean = (spans: number[]) => (spans.length ? spans.reduce((sum, one) => sum + one, 0) / spans.length : null)
  return {
    acknowledge_ms: mean(incidents.filter((one) => one.acknowledged_ms > 0).map((one) => one.acknowledged_ms - one.created_ms)),
    resolve_ms: mean(incidents.filter((one) => one.resolved_ms > 0).map((one) => one.resolved_ms - one.created_ms)),
  }
}
