import { describe, expect, it } from 'vitest'
import { countBy, differences } from '../src/lib/explain'
import type { PromSeries } from '../src/lib/prom'

const series = (counts: Record<string, number>): PromSeries[] => Object.entries(counts).map(([route, count]) => ({ metric: { route }, value: [0, String(count)] }))

describe('explaining a spike', () => {
  it('puts the value whose share grew most first', () => {
    const found = differences('route', series({ '/pay': 93, '/cart': 5, '/home': 2 }), series({ '/pay': 3, '/cart': 5, '/home': 2 }))
    expect(found[0]).toMatchObject({ value: '/pay', count: 93 })
    expect(found[0]?.share).toBeCloseTo(0.93)
    expect(found[0]?.before).toBeCloseTo(0.3)
  })
  it('finds nothing in an hour that is only busier', () => {
    expect(differences('route', series({ a: 500, b: 500 }), series({ a: 5, b: 5 })).every((one) => one.share === one.before)).toBe(true)
  })
  it('knows a value that is new, and stays quiet when nothing happened', () => {
    expect(differences('version', series({}), series({ a: 1 }))).toEqual([])
    expect(differences('route', series({ new: 10 }), [])[0]).toMatchObject({ value: 'new', share: 1, before: 0 })
  })
  it('treats what PromQL may answer as zero: NaN and below', () => {
    expect(differences('route', series({ a: NaN, b: -3, c: 4 }), []).find((one) => one.value === 'c')?.share).toBe(1)
  })
  it('asks over the chosen span, and over the hour before it', () => {
    expect(countBy('errors', 'web', 'http_route', 900, 0)).toBe('sum by (http_route) (increase(http_server_request_duration_seconds_count{service="web",http_response_status_code=~"5.."}[900s]))')
    expect(countBy('requests', 'web', '', 3600, 900)).toBe('sum (increase(http_server_request_duration_seconds_count{service="web"}[3600s] offset 900s))')
  })
})
