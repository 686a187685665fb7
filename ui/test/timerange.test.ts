import { describe, expect, it } from 'vitest'
import { fixed, follows, instant, rangeLabel, shift, span, stepFor, zoom } from '../src/lib/timerange'

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0)

describe('instants of an address', () => {
  it.each([
    ['now', NOW],
    ['now-6h', NOW - 6 * 3_600_000],
    ['now-1.5d', NOW - 36 * 3_600_000],
    ['now+10m', NOW + 600_000],
    ['1795343402873', 1795343402873],
    ['2026-11-22T11:00:00Z', NOW - 3_600_000],
    ['2026-11-22T12:00:00+02:00', NOW - 7_200_000],
  ])('%s', (text, expected) => expect(instant(text, NOW)).toBe(expected))

  it.each(['', 'yesterday', 'now-6x', 'now-'])('%j says nothing', (text) => expect(instant(text, NOW)).toBeNull())
})

describe('ranges', () => {
  it('are never empty or backwards', () => {
    expect(span({ from: 'now', to: 'now-1h' }, NOW)).toEqual({ from_ms: NOW - 3_600_000, to_ms: NOW })
    expect(span({ from: 'rubbish', to: 'now' }, NOW)).toEqual({ from_ms: NOW - 3_600_000, to_ms: NOW })
  })
  it('stand still once moved back, and follow again at the end', () => {
    const back = shift({ from: 'now-1h', to: 'now' }, -1, NOW)
    expect(follows(back)).toBe(false)
    expect(span(back, NOW)).toEqual({ from_ms: NOW - 5_400_000, to_ms: NOW - 1_800_000 })
    expect(shift(back, 1, NOW)).toEqual({ from: 'now-1h', to: 'now' })
  })
  it('zoom around the middle, and stay with now when they follow it', () => {
    expect(zoom({ from: 'now-1h', to: 'now' }, 2, NOW)).toEqual({ from: 'now-2h', to: 'now' })
    const still = fixed({ from_ms: NOW - 7_200_000, to_ms: NOW - 3_600_000 })
    expect(span(zoom(still, 0.5, NOW), NOW)).toEqual({ from_ms: NOW - 6_300_000, to_ms: NOW - 4_500_000 })
  })
  it('have a name', () => {
    expect(rangeLabel({ from: 'now-7d', to: 'now' })).toBe('Last 7 days')
    expect(rangeLabel({ from: 'now-45m', to: 'now' })).toBe('Last 45m')
    expect(rangeLabel(fixed({ from_ms: NOW, to_ms: NOW + 60_000 }))).toBe('2026-11-22 12:00 – 2026-11-22 12:01')
    expect(rangeLabel({ from: '2026-11-22T12:00:00Z', to: String(NOW + 3_600_000) }, 'Asia/Tokyo')).toBe('2026-11-22 21:00 – 2026-11-22 22:00')
    expect(rangeLabel({ from: '2026-11-22T12:00:00Z', to: 'now' }, 'Asia/Tokyo')).toBe('2026-11-22 21:00 – now')
  })
  it('ask for a step people would choose', () => {
    expect(stepFor({ from_ms: 0, to_ms: 3_600_000 }, 240)).toBe(15)
    expect(stepFor({ from_ms: 0, to_ms: 60_000 }, 500)).toBe(5)
    expect(stepFor({ from_ms: 0, to_ms: 400 * 86_400_000 }, 100)).toBe(86_400)
  })
})
