import { describe, expect, it } from 'vitest'
import { covered, daysOf, gapsOf, hour, localInstant, localText, midnights, piecesOf, snapped, turnsOf, weekAfter, weekOf, within } from '../src/lib/week'

const H = 3_600_000
const at = (text: string) => Date.parse(text)
const ana = (start: number, end: number) => ({ start_ms: start, end_ms: end, users: ['ana'] })

describe('weeks', () => {
  it('are named as ISO 8601 names them', () => {
    expect(weekOf(at('2026-11-22T12:00:00Z'), 'UTC')).toBe('2026-W47')
    expect(weekOf(at('2027-01-01T00:00:00Z'), 'UTC')).toBe('2026-W53')
    expect(weekOf(at('2026-11-22T23:30:00Z'), 'Europe/Paris')).toBe('2026-W48')
    expect(weekAfter('2026-W53', 1)).toBe('2027-W01')
    expect(weekAfter('2027-W01', -1)).toBe('2026-W53')
    expect(midnights('2026-W99', 'UTC')).toBeNull()
    expect(midnights('junk', 'UTC')).toBeNull()
  })
  it('have a day of 25 hours when the clocks go back, and of 23 when they go forward', () => {
    const lengths = (week: string) => midnights(week, 'Europe/Paris')?.slice(1).map((end, i) => (end - (midnights(week, 'Europe/Paris')?.[i] ?? 0)) / H)
    expect(lengths('2026-W43')).toEqual([24, 24, 24, 24, 24, 24, 25])
    expect(lengths('2026-W13')).toEqual([24, 24, 24, 24, 24, 24, 23])
  })
  it('show no gap over the change when somebody is on call throughout', () => {
    const bounds = midnights('2026-W43', 'Europe/Paris') ?? []
    const shifts = [ana(bounds[0] ?? 0, bounds[7] ?? 0)]
    expect(daysOf(shifts, bounds).every((day) => day.pieces.length === 1 && day.pieces[0]?.users[0] === 'ana')).toBe(true)
  })
})

describe('cover', () => {
  it('fills what nobody covers with a gap', () => {
    expect(covered([ana(2, 4), ana(6, 20)], 0, 10)).toEqual([{ start_ms: 0, end_ms: 2, users: [] }, ana(2, 4), { start_ms: 4, end_ms: 6, users: [] }, ana(6, 10)])
    expect(covered([ana(0, 4), ana(4, 10)], 0, 10)).toEqual([ana(0, 10)])
    expect(gapsOf([], 0, 10)).toEqual([{ start_ms: 0, end_ms: 10, users: [] }])
    expect(gapsOf([ana(0, 6), ana(3, 10)], 0, 10)).toEqual([])
  })
  it('reads the list bare or wrapped', () => {
    const shift = { start: '2026-11-16T00:00:00Z', end: '2026-11-17T00:00:00Z', users: ['ana'] }
    expect(piecesOf([shift])).toEqual(piecesOf({ shifts: [shift] }))
    expect(piecesOf([shift])[0]?.end_ms).toBe(at('2026-11-17T00:00:00Z'))
  })
})

describe('wall clocks', () => {
  it('go to an instant and back', () => {
    for (const zone of ['UTC', 'Europe/Paris', 'Asia/Kolkata', 'America/New_York']) {
      const t = at('2026-07-03T10:15:00Z')
      expect(localInstant(localText(t, zone), zone)).toBe(t)
    }
  })
  it('take the hour after for one that does not exist, the first of one that is there twice', () => {
    expect(localInstant('2026-03-29T02:30', 'Europe/Paris')).toBe(at('2026-03-29T01:30:00Z'))
    expect(localInstant('2026-10-25T02:30', 'Europe/Paris')).toBe(at('2026-10-25T00:30:00Z'))
    expect(localInstant('', 'UTC')).toBeNull()
  })
  it('end a day at 24:00', () => {
    expect(hour(at('2026-11-17T00:00:00Z'), 'UTC', true)).toBe('24:00')
    expect(hour(at('2026-11-17T00:00:00Z'), 'UTC')).toBe('00:00')
  })
})

describe('drawing over a week', () => {
  it('takes whole half hours of the day under the pointer, also on a day of 23 hours', () => {
    const day = { start_ms: 0, end_ms: 24 * H }
    expect(snapped(day, 0.5)).toBe(12 * H)
    expect(snapped(day, 10.2 / 24)).toBe(10 * H)
    expect(snapped(day, -1)).toBe(0)
    expect(snapped({ start_ms: 0, end_ms: 23 * H }, 2)).toBe(23 * H)
  })
  it('shows in each lane what lies in its day', () => {
    const day = { start_ms: 10, end_ms: 20 }
    expect(within({ start_ms: 0, end_ms: 15 }, day)).toEqual({ left: 0, width: 50 })
    expect(within({ start_ms: 12, end_ms: 99 }, day)).toEqual({ left: 20, width: 80 })
    expect(within({ start_ms: 20, end_ms: 30 }, day)).toBeNull()
  })
})

describe('turns that somebody may take', () => {
  it('are what is left of mine, the next first, and keep who shares them', () => {
    const pieces = [{ start_ms: 0, end_ms: 10, users: ['ana'] }, { start_ms: 10, end_ms: 20, users: ['ben'] }, { start_ms: 20, end_ms: 30, users: ['ana', 'ben'] }]
    expect(turnsOf('ana', [{ schedule: 'web', pieces }, { schedule: 'db', pieces: [{ start_ms: 8, end_ms: 9, users: ['ana'] }] }], 5)).toEqual([
      { schedule: 'web', start_ms: 5, end_ms: 10, others: [] },
      { schedule: 'db', start_ms: 8, end_ms: 9, others: [] },
      { schedule: 'web', start_ms: 20, end_ms: 30, others: ['ben'] },
    ])
    expect(turnsOf('dee', [{ schedule: 'web', pieces }], 0)).toEqual([])
  })
})
