import { describe, expect, it } from 'vitest'
import type { Engine } from '../src/lib/api'
import { dataAge, EVALUATION_MS, freshness, SILENT_MS, type Pulse } from '../src/lib/freshness'

const NOW = 1_795_343_402_873
const engine: Engine = { ok: true, last_evaluation_ms: NOW - 2000, last_sample_ms: NOW - 1500, core_started_ms: NOW - 1e7, lag_ms: 1 }
const pulse: Pulse = { connected: true, started_ms: NOW - 60_000, heard_ms: NOW - 3000, engine }

describe('freshness', () => {
  it('is live while the engine beats and evaluates', () => expect(freshness(pulse, NOW)).toBe('live'))
  it('is stale when the beats stop, connected or not', () => {
    expect(freshness({ ...pulse, heard_ms: NOW - SILENT_MS - 1 }, NOW)).toBe('stale')
    expect(freshness({ ...pulse, connected: false, heard_ms: NOW - SILENT_MS - 1 }, NOW)).toBe('stale')
  })
  it('is stale when the web process answers but the engine has stopped', () => {
    expect(freshness({ ...pulse, engine: { ...engine, ok: false } }, NOW)).toBe('stale')
    expect(freshness({ ...pulse, engine: { ...engine, last_evaluation_ms: NOW - EVALUATION_MS - 1 } }, NOW)).toBe('stale')
  })
  it('gives an engine that has just started its time', () =>
    expect(freshness({ ...pulse, engine: { ...engine, last_evaluation_ms: 0, core_started_ms: NOW - 5000 } }, NOW)).toBe('live'))
  it('is only reconnecting for a short break', () => {
    expect(freshness({ ...pulse, connected: false }, NOW)).toBe('reconnecting')
    expect(freshness({ ...pulse, connected: false, heard_ms: 0, started_ms: NOW - 100 }, NOW)).toBe('connecting')
  })
  it('never claims to be live when nothing was ever heard', () => expect(freshness({ connected: false, started_ms: NOW - SILENT_MS - 1, heard_ms: 0, engine: null }, NOW)).toBe('stale'))
  it('knows the age of the newest sample', () => expect(dataAge(pulse, NOW)).toBe(1500))
})
