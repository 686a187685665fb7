import { describe, expect, it, vi } from 'vitest'
import { valueAndLimit } from '../src/lib/alerts'
import { operatorOf } from '../src/lib/expression'
import { Newcomers } from '../src/lib/newcomers.svelte'
import { describe as words, hourly } from '../src/lib/strip'

const rule = (expr: string) => ({ group: 'g', name: 'r', expr, for_ms: 0, source: '' })

describe('value and limit of an alert', () => {
  it.each([
    ['service:p95_seconds:quantile > 1', 1.9, '1.9 s', '> 1 s'],
    ['errors_ratio >= 0.05', 0.072, '7.2 %', '>= 5 %'],
    ['queue_length > 100', 250, '250', '> 100'],
    ['absent(up)', 1, '1', ''],
  ])('%s', (expr, value, shown, limit) => expect(valueAndLimit({ value, labels: {}, rule: rule(expr) })).toEqual({ value: shown, limit }))
  it('has nothing to compare for a check, or without a value', () => {
    expect(valueAndLimit({ value: 0, labels: { check: 'shop' }, rule: rule('probe_success == 0') })).toEqual({ value: '', limit: '' })
    expect(valueAndLimit({ value: null, labels: {}, rule: rule('a > 1') }).value).toBe('')
  })
  it('names the operator only of what can be taken apart', () => {
    expect(operatorOf('a <= 3')).toBe('<=')
    expect(operatorOf('a > b')).toBe('')
  })
})

describe('the fire strip', () => {
  it('is 24 blocks of an hour, each on when it fired at all', () => {
    expect(hourly('00011000')).toBe('0110')
    expect(hourly('0'.repeat(46) + '01')).toHaveLength(24)
    expect(words(hourly('0'.repeat(46) + '01'), 60, 'fired')).toBe('last 24 h: fired about 1 h')
  })
})

describe('rows that come while somebody points at the list', () => {
  it('wait, are counted, and come in when the pointer leaves or rests', () => {
    vi.useFakeTimers()
    const list = new Newcomers<string>((row) => row)
    expect(list.of('firing', ['a', 'b'])).toEqual({ rows: ['a', 'b'], waiting: 0 })
    list.point()
    expect(list.of('firing', ['new', 'a', 'b'])).toEqual({ rows: ['a', 'b'], waiting: 1 })
    expect(list.of('firing', ['new', 'a'])).toEqual({ rows: ['a'], waiting: 1 })
    list.let()
    expect(list.of('firing', ['new', 'a'])).toEqual({ rows: ['new', 'a'], waiting: 0 })
    list.point()
    expect(list.of('firing', ['newer', 'new', 'a']).waiting).toBe(1)
    vi.advanceTimersByTime(10_001)
    expect(list.of('firing', ['newer', 'new', 'a']).waiting).toBe(0)
    list.point()
    list.leave()
    expect(list.of('firing', ['last', 'newer', 'new', 'a']).waiting).toBe(1)
    vi.advanceTimersByTime(1_501)
    expect(list.of('firing', ['last', 'newer', 'new', 'a']).waiting).toBe(0)
    vi.useRealTimers()
  })
  it('another list begins anew, and an empty one hides nothing', () => {
    const list = new Newcomers<string>((row) => row)
    list.of('firing', [])
    list.point()
    expect(list.of('firing', ['a']).waiting).toBe(0)
    expect(list.of('resolved', ['x', 'y']).rows).toEqual(['x', 'y'])
    list.let()
  })
})

describe('strips of longer spans', () => {
  it('say days, and on how many of them something was wrong', () => {
    expect(words('u'.repeat(28) + 'dg', 1440)).toBe('last 30 days: down on 1 day, degraded on 1 day')
    expect(words('u'.repeat(42), 240)).toBe('last 7 days: no fault')
    expect(words('-'.repeat(90), 1440)).toBe('last 90 days: no data')
    expect(words('u'.repeat(47) + 'd', 30)).toBe('last 24 h: down about 30 min')
  })
})
