import { describe, expect, it } from 'vitest'
import { handWords, holes, merged } from '../src/lib/lookahead'

describe('what comes', () => {
  it('is one list over all schedules, the next first', () => {
    const change = (at: string) => ({ changes: [{ at, before: ['ana'], after: ['ben'] }] })
    const list = merged([{ schedule: 'b', answer: change('2026-11-25T09:00:00Z') }, { schedule: 'a', answer: change('2026-11-23T09:00:00Z') }])
    expect(list.map((one) => [one.schedule, one.at_ms])).toEqual([['a', Date.parse('2026-11-23T09:00:00Z')], ['b', Date.parse('2026-11-25T09:00:00Z')]])
    expect(holes([{ schedule: 'a', answer: { gaps: [{ start: '2026-11-29T00:00:00Z', end: '2026-11-30T00:00:00Z' }] } }])[0]?.end_ms).toBe(Date.parse('2026-11-30T00:00:00Z'))
  })
  it('is said by who comes and who goes', () => {
    expect(handWords({ before: ['ana'], after: ['ben'] })).toBe('ben from ana')
    expect(handWords({ before: ['ana', 'chi'], after: ['ben', 'chi'] })).toBe('ben from ana')
    expect(handWords({ before: ['ana'], after: [] })).toBe('ana goes, nobody comes')
    expect(handWords({ before: [], after: ['ana', 'ben'] })).toBe('ana, ben come')
    expect(handWords({ before: ['ana', 'ben'], after: ['ana'] })).toBe('ben goes')
  })
})
