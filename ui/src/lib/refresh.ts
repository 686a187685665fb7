// `refresh=` of an address: how often the page asks again. Nothing = as things change; `off` = not at all; `30s`, `5m` = by the clock.

export type Refresh = 'live' | 'off' | number

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000 }
/** Faster than this is what the live stream is for. */
const LEAST_MS = 5000

/** `off` and every text of a duration; what says nothing is as if it were not there. */
export function refreshOf(text: string): Refresh {
  if (text === 'off') return 'off'
  const found = /^(\d{1,5})(s|m|h)$/.exec(text)
  return found ? Math.max(LEAST_MS, Number(found[1]) * (UNIT_MS[found[2] ?? 's'] ?? 1000)) : 'live'
}
