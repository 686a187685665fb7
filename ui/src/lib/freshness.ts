// How old what we show is. A pure decision: the shell calls it every second and every green thing obeys it.

import type { Engine } from './api'

export type Freshness = 'connecting' | 'live' | 'reconnecting' | 'stale' | 'paused'

/** The server beats every 10 s: two missed beats and a little for the network. */
export const SILENT_MS = 25_000
/** Rules run at least once a minute; an engine that has not evaluated for this long is not watching. */
export const EVALUATION_MS = 150_000

export interface Pulse {
  connected: boolean
  started_ms: number // when this page began to listen
  heard_ms: number // last beat or change, 0 = none yet
  engine: Engine | null
}

/** `now_ms` and `pulse` are in the server's time. */
export function freshness(pulse: Pulse, now_ms: number): Freshness {
  const heard = pulse.heard_ms || pulse.started_ms
  if (now_ms - heard > SILENT_MS) return 'stale'
  if (pulse.engine && silent(pulse.engine, now_ms)) return 'stale'
  if (!pulse.connected) return pulse.heard_ms === 0 ? 'connecting' : 'reconnecting'
  return 'live'
}

export function silent(engine: Engine, now_ms: number): boolean {
  if (!engine.ok) return true
  const evaluated = Math.max(engine.last_evaluation_ms, engine.core_started_ms)
  return evaluated > 0 && now_ms - evaluated > EVALUATION_MS
}

/** Age of the newest sample the engine has, or of the last word from it. */
export function dataAge(pulse: Pulse, now_ms: number): number {
  const newest = pulse.engine?.last_sample_ms || pulse.heard_ms || pulse.started_ms
  return Math.max(0, now_ms - newest)
}
