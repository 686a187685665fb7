// Changes near an incident: what was done shortly before it began is the first suspect.

import type { IncidentChange } from './api'
import { duration } from './format'

/** An alert notices after its `for`: a change so long before the incident may still be its cause. */
const WITHIN_MS = 2 * 3_600_000
/** ... and what was noted a little late (by the deploy's last step) is still before it. */
const LATE_MS = 60_000

/** Changes before the incident, the nearest first. */
export function suspects(changes: IncidentChange[], created_ms: number): IncidentChange[] {
  return changes.filter((one) => one.t_ms > created_ms - WITHIN_MS && one.t_ms <= created_ms + LATE_MS).sort((a, b) => b.t_ms - a.t_ms || b.id - a.id)
}

export function beforeWords(change: IncidentChange, created_ms: number): string {
  const before = created_ms - change.t_ms
  return before < 1000 ? 'as it began' : `${duration(before)} before it began`
}
