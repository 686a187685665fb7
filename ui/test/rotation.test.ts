import { describe, expect, it } from 'vitest'
import { refreshOf } from '../src/lib/refresh'
import { placeIn, rotationOf, turned, wallboardPath } from '../src/lib/rotation'

const none = new URLSearchParams()

describe('a wallboard turns pages', () => {
  it('when its address says how often and which', () => {
    expect(rotationOf('30s', '/,/d/hosts, /services')).toEqual({ every_ms: 30_000, pages: ['/', '/d/hosts', '/services'] })
    expect(rotationOf('2m', '/,/checks')?.every_ms).toBe(120_000)
    expect(rotationOf('0s', '/,/checks')?.every_ms).toBe(2000)
  })
  it.each([
    ['', '/,/checks'],
    ['30', '/,/checks'],
    ['30s', '/'],
    ['30s', ''],
    ['30s', '//evil.example,/'],
    ['30s', 'https://evil.example,/'],
    ['30s', '/\\evil.example,/'],
  ])('and not for %j %j', (rotate, pages) => expect(rotationOf(rotate, pages)).toBeNull())

  it('round and round, and to the first from anywhere else', () => {
    const round = rotationOf('30s', '/,/services?state=problems,/services')!
    expect([0, 1, 2, -1].map((place) => turned(round, place, 1))).toEqual([1, 2, 0, 0])
    expect([0, 1].map((place) => turned(round, place, -1))).toEqual([2, 0])
    expect(placeIn(round, '/services', none)).toBe(2)
    expect(placeIn(round, '/services', new URLSearchParams('kiosk=1&state=problems'))).toBe(1)
    expect(placeIn(round, '/alerts', none)).toBe(-1)
  })
  it('by an address that comes back as it was made', () => {
    const path = wallboardPath(['/services?state=problems', '/d/hosts?var-x=a&b=1'], 45, 'dark')
    const search = new URL(path, 'http://x').searchParams
    expect(path.startsWith('/services?state=problems&kiosk=1')).toBe(true)
    expect(rotationOf(search.get('rotate')!, search.get('pages')!)).toEqual({ every_ms: 45_000, pages: ['/services?state=problems', '/d/hosts?var-x=a&b=1'] })
    expect(search.get('theme')).toBe('dark')
    expect(wallboardPath(['/'], 30, '')).toBe('/?kiosk=1')
  })
})

describe('how often a page asks again', () => {
  it.each([
    ['', 'live'],
    ['off', 'off'],
    ['5s', 5000],
    ['1s', 5000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['often', 'live'],
    ['-5s', 'live'],
  ])('%j', (text, expected) => expect(refreshOf(text)).toBe(expected))
})
