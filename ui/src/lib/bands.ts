// Spans of incidents under a chart.

import type { IncidentRow } from './api'
import type { Band } from './chart'

/** Bands that overlap are one: two incidents at a time are not twice as dark. */
export function merged(bands: Band[]): Band[] {
  const found: Band[] = []
  for (const band of [...bands].sort((a, b) => a.from_ms - b.from_ms)) {
    const last = found.at(-1)
    if (last && band.from_ms <= last.to_ms) last.to_ms = Math.max(last.to_ms, band.to_ms)
    else found.push({ ...band })
  }
  return found
}

/** When the worst incidents lasted, of the services that are looked at (none named = of all). */
export function incidentBands(incidents: IncidentRow[], worst: string | undefined, services: string[], now_ms: number): Band[] {
  const wanted = incidents.filter((one) => one.severity === worst && (services.length === 0 || services.includes(one.service)))
  return merged(wanted.map((one) => ({ from_ms: one.created_ms, to_ms: one.resolved_ms || now_ms, look: 'critical' })))
}

/** The services that expressions name in their matchers: `service="shop"`. */
export function servicesIn(queries: string[]): string[] {
  return [...new Set(queries.flatMap((query) => [...query.matchAll(/\bservice\s*=\s*"([^"\\]+)"/g)].map((found) => found[1] ?? '')))]
}
