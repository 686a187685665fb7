import { describe, expect, it } from 'vitest'
import type { SilenceRow } from '../src/lib/api'
import { parseMatcher, type Matcher } from '../src/lib/matchers'
import { endOf, hoursOf, OWN_TIME, sameMatchers } from '../src/lib/silences'

const list = (...texts: string[]) => texts.map(parseMatcher) as Matcher[]
const NOW = Date.UTC(2026, 10, 22, 12)
const HOUR = 3_600_000

describe('the end of a silence', () => {
  const stands = { ends_at_ms: NOW + HOUR + 12_345 } as SilenceRow
  it('is so many hours from now, or the time that is typed, in the zone that is shown', () => {
    expect(endOf(2, '', null, NOW, 'UTC')).toBe(NOW + 2 * HOUR)
    expect(endOf(OWN_TIME, '2026-11-22T14:00', null, NOW, 'Europe/Paris')).toBe(NOW + HOUR)
    expect(endOf(OWN_TIME, 'soon', null, NOW, 'UTC')).toBeNull()
  })
  it('stays to the millisecond while nobody touches it', () => {
    expect(endOf(OWN_TIME, '2026-11-22T13:00', stands, NOW, 'UTC')).toBe(stands.ends_at_ms)
    expect(endOf(OWN_TIME, '2026-11-22T13:01', stands, NOW, 'UTC')).toBe(NOW + HOUR + 60_000)
  })
})

it('the same matchers in another order are the same silence', () => {
  const one = list('team="web"', 'alertname=~"A|B"')
  expect(sameMatchers(one, list('alertname=~"A|B"', 'team=web'))).toBe(true)
  expect(sameMatchers(one, list('alertname="A|B"', 'team="web"'))).toBe(false)
  expect(sameMatchers(one, list('team="web"'))).toBe(false)
})

it('a link says for how long', () => {
  expect(['2h', '30m', '3d', '1w', 'long', '', '0h'].map(hoursOf)).toEqual([2, 0.5, 72, 168, 2, 2, 2])
})
