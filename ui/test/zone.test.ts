import { describe, expect, it } from 'vitest'
import { instantOf, utcOrBack, wallOf, zoneInFull, zoneName, zoneNames, zoneOf } from '../src/lib/zone.svelte'

const WINTER = Date.UTC(2026, 0, 15, 12)
const SUMMER = Date.UTC(2026, 6, 15, 12)

describe('the zone of the times', () => {
  it.each([
    ['', '', undefined],
    ['', 'Asia/Tokyo', 'Asia/Tokyo'],
    ['UTC', 'Asia/Tokyo', 'UTC'],
    ['browser', 'Asia/Tokyo', undefined],
    ['Nowhere/Here', 'Asia/Tokyo', 'Asia/Tokyo'],
    ['Nowhere/Here', 'gone', undefined],
  ])('tz=%s with %j chosen is %s', (parameter, preference, expected) => expect(zoneOf(parameter, preference)).toBe(expected))

  it.each(['', 'Asia/Tokyo', 'UTC'])('one key is UTC, and the same key is back (%j chosen)', (preference) => {
    const before = zoneOf('', preference)
    const once = utcOrBack('', preference)
    expect(zoneOf(once ?? '', preference)).toBe(before === 'UTC' ? undefined : 'UTC')
    expect(zoneOf(utcOrBack(once ?? '', preference) ?? '', preference)).toBe(before)
  })
  it('leaves a zone that an address asked for', () => expect(utcOrBack('Asia/Tokyo', '')).toBe('UTC'))
})

describe('its name', () => {
  it.each([
    [WINTER, 'UTC', 'UTC'],
    [WINTER, 'Europe/Paris', 'CET'],
    [SUMMER, 'Europe/Paris', 'CEST'],
    [WINTER, 'Europe/London', 'GMT'],
    [WINTER, 'Asia/Kathmandu', '+05:45'],
    [WINTER, 'America/New_York', '−05:00'],
    [SUMMER, 'America/New_York', '−04:00'],
  ])('at %s in %s is %s', (t_ms, zone, expected) => expect(zoneName(t_ms, zone)).toBe(expected))
  it('is two where the clocks are changed', () => {
    expect(zoneNames(WINTER, SUMMER, 'Europe/Paris')).toEqual(['CET', 'CEST'])
    expect(zoneNames(WINTER, SUMMER, 'UTC')).toEqual(['UTC'])
  })
  it('is there in full', () => {
    expect(zoneInFull(WINTER, 'Europe/Paris')).toBe('Europe/Paris, UTC+01:00')
    expect(zoneInFull(WINTER, 'Europe/London')).toBe('Europe/London, UTC+00:00')
    expect(zoneInFull(WINTER, 'America/St_Johns')).toBe('America/St_Johns, UTC−03:30')
    expect(zoneInFull(WINTER, 'UTC')).toBe('UTC')
  })
})

describe('a moment that is typed', () => {
  it.each(['UTC', 'Europe/Paris', 'America/New_York', 'Asia/Kathmandu'])('is of %s, there and back', (zone) => {
    for (const t_ms of [WINTER, SUMMER]) expect(instantOf(wallOf(t_ms, zone), zone)).toBe(t_ms)
  })
  it('is right on the days of the change', () => {
    expect(wallOf(SUMMER, 'Europe/Paris')).toBe('2026-07-15T14:00')
    expect(new Date(instantOf('2026-03-29T01:30', 'Europe/Paris')).toISOString()).toBe('2026-03-29T00:30:00.000Z')
    expect(new Date(instantOf('2026-03-29T03:30', 'Europe/Paris')).toISOString()).toBe('2026-03-29T01:30:00.000Z')
    expect(new Date(instantOf('2026-10-25T04:00', 'Europe/Paris')).toISOString()).toBe('2026-10-25T03:00:00.000Z')
  })
  it('says nothing when it is empty', () => expect(instantOf('', 'UTC')).toBeNaN())
})
