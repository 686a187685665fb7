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

/** The stream beats at once when it opens and then every 10 s. */
export const FIRST_WORD_MS = 4_000
export const QUIET_MS = 12_000
/** Between two requests that help a quiet stream out. */
export const ASK_EVERY_MS = 5_000
/** News that was longer on its way than this is no sign of life. */
export const LATE_MS = 6_000

/** Whether to ask instead of listening, `now` and all of `stream` on one clock that nobody sets; 0 = not yet. */
export function quiet(stream: { opened: number; spoke: number; asked: number }, now: number): boolean {
  const heard = stream.spoke > stream.opened ? stream.spoke + QUIET_MS : Math.max(stream.opened + FIRST_WORD_MS, stream.spoke ? stream.spoke + QUIET_MS : 0)
  return now > heard && now - stream.asked > ASK_EVERY_MS
}

/** `sent_ms` by the server, `now_ms` what we take for the server's time. */
export const late = (sent_ms: number, now_ms: number): boolean => now_ms - sent_ms > LATE_MS
