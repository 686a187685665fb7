import { describe, expect, it } from 'vitest'
import { look, name, overall, says, type PeriodUptime } from '../src/lib/uptime'

const DAY = 86_400_000
const day = (more: Partial<PeriodUptime> = {}): PeriodUptime => ({ start_ms: Date.UTC(2026, 10, 21), end_ms: Date.UTC(2026, 10, 22), ratio: 1, down_ms: 0, unknown_ms: 0, ...more })

describe('a calendar period', () => {
  it('is well, less well, bad or not watched', () => {
    expect([1, 0.999, 0.9, null].map((ratio) => look(day({ ratio })))).toEqual(['ok', 'warning', 'critical', 'none'])
  })
  it('says itself, unknown time apart', () => {
    expect(says(day())).toBe('100.00 % up')
    expect(says(day({ ratio: 0.99, down_ms: DAY / 100 }))).toBe('99.00 % up, down 14m')
    expect(says(day({ ratio: 0.5, down_ms: DAY / 4, unknown_ms: DAY / 2 }))).toBe('50.00 % up, down 6h, known for 12h')
    expect(says(day({ ratio: null, unknown_ms: DAY }))).toBe('not watched')
  })
  it('is named in the zone of the reader', () => {
    expect(name(day(), 'day', 'UTC')).toContain('21 Nov 2026')
    expect(name(day(), 'month', 'UTC')).toBe('November 2026')
    expect(name(day({ start_ms: Date.UTC(2026, 0, 1) - 3_600_000 }), 'year', 'Europe/Paris')).toBe('2026')
  })
})

describe('all periods together', () => {
  it('count known time only', () => {
    expect(overall([day({ ratio: null, unknown_ms: DAY }), day({ ratio: 0.5, down_ms: DAY / 2 })])).toEqual({ ratio: 0.5, down_ms: DAY / 2, unknown_ms: DAY, known_ms: DAY })
    expect(overall([]).ratio).toBeNull()
  })
})
