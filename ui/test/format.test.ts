import { describe, expect, it } from 'vitest'
import { ago, bytes, clock, duration, inUnit, number, percent, seconds, spanOfDays } from '../src/lib/format'

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0)

describe('numbers', () => {
  it.each([
    [0, '0'],
    [0.072, '0.072'],
    [1.9, '1.9'],
    [128.44, '128.4'],
    [9999, '9999'],
    [12_840, '12.8 k'],
    [3.2e9, '3.2 G'],
    [1e-7, '1.0e-7'],
    [NaN, '–'],
    [Infinity, '∞'],
    [null, '–'],
  ])('%d', (value, text) => expect(number(value)).toBe(text))

  it.each([
    [0, '0 B'],
    [1536, '1.5 KiB'],
    [8e12, '7.3 TiB'],
  ])('%d bytes', (value, text) => expect(bytes(value)).toBe(text))

  it('never rounds a fault away', () => {
    expect(percent(1)).toBe('100.0 %')
    expect(percent(0.99999)).toBe('99.999 %')
    expect(percent(0.99999999)).toBe('> 99.9999 %')
    expect(percent(0.072)).toBe('7.2 %')
  })
})

describe('times', () => {
  it('names the days of a span no longer than it must', () => {
    const days = (from: string, to: string) => spanOfDays(Date.parse(from), Date.parse(to), 'UTC').replace(/\s/g, ' ')
    expect(days('2026-11-15T12:00Z', '2026-11-22T12:00Z')).toMatch(/^15\s?–\s?22 Nov 2026$/)
    expect(days('2026-10-31T12:00Z', '2026-11-22T12:00Z')).toMatch(/^31 Oct\s?–\s?22 Nov 2026$/)
  })
  it.each([
    [0.000213, '213 µs'],
    [0.0031, '3.1 ms'],
    [0.412, '412 ms'],
    [4.25, '4.25 s'],
    [90, '90 s'],
    [0, '0 s'],
  ])('%d s measured', (value, text) => expect(seconds(value)).toBe(text))

  it.each([
    [4_000, '4s'],
    [72_000, '1m 12s'],
    [14 * 60_000, '14m'],
    [7_500_000, '2h 05m'],
    [100 * 3_600_000, '4d 4h'],
    [40 * 86_400_000, '40d'],
  ])('%d ms long', (value, text) => expect(duration(value)).toBe(text))

  it('are relative near now, in both directions', () => {
    expect(ago(NOW - 600, NOW)).toBe('now')
    expect(ago(NOW - 90_000, NOW)).toBe('1m 30s ago')
    expect(ago(NOW + 30_000, NOW)).toBe('in 30s')
    expect(ago(0, NOW)).toBe('never')
  })
  it('carry as much of the date as it takes, in the zone asked for', () => {
    expect(clock(NOW - 7_200_000, NOW, 'UTC')).toBe('10:00')
    expect(clock(NOW - 7_200_000, NOW, 'Europe/Paris')).toBe('11:00')
    expect(clock(NOW - 60_000, NOW, 'UTC')).toBe('11:59:00')
    expect(clock(NOW - 2 * 86_400_000, NOW, 'UTC')).toBe('Fri 12:00')
    expect(clock(NOW - 20 * 86_400_000, NOW, 'UTC')).toBe('2 Nov, 12:00')
  })
  it('read in their unit', () => {
    expect(inUnit(0.5, 'ratio')).toBe('50.0 %')
    expect(inUnit(1024, 'bytes/s')).toBe('1 KiB/s')
    expect(inUnit(null, 'req/s')).toBe('– req/s')
  })
})
