import { describe, expect, it } from 'vitest'
import type { Engine } from '../src/lib/api'
import { ASK_EVERY_MS, dataAge, EVALUATION_MS, FIRST_WORD_MS, freshness, late, LATE_MS, QUIET_MS, quiet, SILENT_MS, type Pulse } from '../src/lib/freshness'

const NOW = 1_795_343_402_873
const engine: Engine = { ok: true, last_evaluation_ms: NOW - 2000, last_sample_ms: NOW - 1500, core_started_ms: NOW - 1e7, lag_ms: 1, unwritten: '' }
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

describe('a stream that is held back', () => {
  it('is helped out soon when it never says a word', () => {
    expect(quiet({ opened: 1000, spoke: 0, asked: 0 }, 1000 + FIRST_WORD_MS)).toBe(false)
    expect(quiet({ opened: 1000, spoke: 0, asked: 0 }, 10_000)).toBe(true)
  })
  it('may be silent between two beats', () => {
    expect(quiet({ opened: 1000, spoke: 50_000, asked: 0 }, 50_000 + QUIET_MS)).toBe(false)
    expect(quiet({ opened: 1000, spoke: 50_000, asked: 0 }, 50_001 + QUIET_MS)).toBe(true)
  })
  it('has its time again after each new connection', () => expect(quiet({ opened: 100_000, spoke: 50_000, asked: 0 }, 102_000)).toBe(false))
  it('is asked for no faster than every few seconds', () => {
    expect(quiet({ opened: 1000, spoke: 0, asked: 20_000 }, 20_000 + ASK_EVERY_MS)).toBe(false)
    expect(quiet({ opened: 1000, spoke: 0, asked: 20_000 }, 20_001 + ASK_EVERY_MS)).toBe(true)
  })
  it('brings old news, which is no sign of life', () => {
    expect(late(NOW - LATE_MS - 1, NOW)).toBe(true)
    expect(late(NOW - 2000, NOW)).toBe(false)
    expect(late(NOW + 3_600_000, NOW)).toBe(false) // our idea of the time was wrong
  })
})
