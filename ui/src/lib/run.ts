// One run of a check, and whether the places that look at it agree.

import type { CheckRun, PlaceOfRun } from './api'
import type { Look } from './status'

export function runLook(run: Pick<CheckRun, 'ok' | 'result'>): Look {
  return run.result.unknown ? 'unknown' : !run.ok ? 'critical' : run.result.degraded ? 'warning' : 'ok'
}

export function runWord(run: Pick<CheckRun, 'ok' | 'result'>): string {
  return run.result.unknown ? 'Not known' : !run.ok ? 'Failed' : run.result.degraded ? 'Degraded' : 'Fine'
}

const LOOKS: Record<string, Look> = { ok: 'ok', degraded: 'warning', failed: 'critical', unknown: 'unknown', silent: 'unknown' }

export function placeLook(place: PlaceOfRun): Look {
  return LOOKS[place.verdict] ?? 'unknown'
}

/** "2 of 3 places agree": of those that saw anything, the run's own first. */
export function agreement(places: PlaceOfRun[]): string {
  const [own, ...others] = places
  if (!own) return ''
  if (others.length === 0) return `only ${own.location} looks at it`
  const seen = places.filter((place) => place.verdict !== 'silent' && place.verdict !== 'unknown')
  const bad = (place: PlaceOfRun) => place.verdict === 'failed'
  const same = seen.filter((place) => bad(place) === bad(own)).length
  if (seen.length <= 1) return 'the others saw nothing at that time'
  return same === seen.length ? `all ${seen.length} agree` : `${same} of ${seen.length} agree`
}
