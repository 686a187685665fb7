// Spans of incidents under a chart.

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
