import { describe, expect, it } from 'vitest'
import { boardRows, filled, heat, legend, level, limitLines } from '../src/lib/board'
import { grouped } from '../src/lib/coverage'
import { baseline } from '../src/lib/explain'
import { joined, untilFull } from '../src/lib/hosts'
import { advice, csv, noise, trend } from '../src/lib/reports'

const NO_LIMITS = { warning: null, critical: null, below: false }

describe('variables of a dashboard', () => {
  it('all when nothing is chosen, alternatives when several are, and never more than text', () => {
    const query = 'up{job=~"$job",job_name=~"$job_name"}'
    expect(filled(query, { job: [], job_name: ['a'] }, 15)).toBe('up{job=~".*",job_name=~"a"}')
    expect(filled('up{i=~"$i"}', { i: ['a.b', 'c'] }, 15)).toBe(String.raw`up{i=~"(a\\.b|c)"}`)
    expect(filled('up{i=~"$i"}', { i: ['"} or vector(1) #'] }, 15)).toBe(String.raw`up{i=~"\"\\} or vector\\(1\\) #"}`)
  })
  it('a rate spans four steps, a minute at least', () => {
    expect(filled('rate(x[$__rate_interval])', {}, 5)).toBe('rate(x[60s])')
    expect(filled('rate(x[$__rate_interval])', {}, 300)).toBe('rate(x[1200s])')
  })
})

describe('panels', () => {
  it('legends name what they have', () => {
    expect(legend('{{instance}} {{ device }}', { instance: 'a', device: 'sda' })).toBe('a sda')
    expect(legend('{{missing}}', { instance: 'a' })).toBe('a')
  })
  it('where small values are bad, the smallest is first', () => {
    const series = ['0.5', '0.98', 'NaN', '0.999'].map((value, index) => ({ metric: { check: String(index) }, value: [0, value] as [number, string] }))
    const rows = boardRows([{ name: '{{check}}', series }], { warning: 0.99, critical: 0.9, below: true })
    expect(rows.map((row) => [row.name, row.level])).toEqual([['0', 'critical'], ['1', 'warning'], ['3', 'ok'], ['2', 'none']])
  })
  it('levels at the limit itself, and none for what is no number', () => {
    expect(level(1, { warning: 1, critical: null, below: false })).toBe('warning')
    expect(level(Infinity, { warning: 1, critical: 5, below: false })).toBe('critical')
    expect(level(NaN, { warning: 1, critical: 5, below: false })).toBe('none')
    expect(limitLines({ ...NO_LIMITS, critical: 0.05 }, 'ratio')).toEqual([{ value: 0.05, label: 'critical 5.0 %', look: 'critical' }])
  })
  it('buckets of a histogram are made uncumulative, empty ones at both ends left out', () => {
    const bucket = (le: string, value: number) => ({ metric: { le }, values: [[0, String(value)]] as [number, string][] })
    const map = heat([bucket('+Inf', 9), bucket('0.1', 0), bucket('0.5', 0), bucket('1', 4), bucket('5', 9)], '', 's', 0, 0, 15)
    expect(map.rows.map((row) => [row.name, row.values[0]])).toEqual([['≤ 500 ms', 0], ['≤ 1 s', 4], ['≤ 5 s', 5], ['more', 0]])
    expect(map.most).toBe(5)
  })
  it('a heat-map of 100,000 series shows some and says how many it does not', () => {
    const series = Array.from({ length: 100_000 }, (_, index) => ({ metric: { i: String(index) }, values: [] }))
    const map = heat(series, '{{i}}', '', 0, 60, 15)
    expect([map.rows.length, map.hidden]).toEqual([60, 99_940])
  })
})

describe('disks', () => {
  it('full when the bytes left are used up; not filling and too young say nothing', () => {
    expect(untilFull(86_400, -1)).toBe(86_400_000)
    for (const slope of [0, 1, NaN, undefined]) expect(untilFull(86_400, slope)).toBeNull()
    expect(untilFull(1e15, -1)).toBeNull()
  })
  it('the first to be full comes first', () => {
    const of = (mountpoint: string, value: number) => ({ metric: { instance: 'a', mountpoint }, value: [0, String(value)] as [number, string] })
    const found = joined([of('/', 100), of('/data', 100)], { available: [of('/', 50), of('/data', 60)], slope: [of('/data', -1)], free: [of('/', 25)], files: [of('/', 100)] })
    expect(found.map((one) => [one.mountpoint, one.full_ms, one.inodes])).toEqual([['/data', 60_000, null], ['/', null, 0.75]])
  })
})

describe('reports', () => {
  const rule = { rule: 'A', incidents: 4, pages: 8, real: 1, noise: 3, duplicate: 0, precision: 0.25, quick: 0, never_acknowledged: 0 }
  it('compares with the period before, when there is one', () => {
    expect(trend(14, 10)).toEqual({ word: '+40 %', better: false })
    expect(trend(6, 10)).toEqual({ word: '−40 %', better: true })
    expect(trend(10, 10)?.better).toBeNull()
    expect(trend(10, 0)).toBeNull()
  })
  it('noise is pages that led to nothing; advice says what to do', () => {
    expect(noise(rule)).toBe(6)
    expect(advice(rule)).toContain('noise')
    expect(advice({ ...rule, precision: null, quick: 3 })).toContain('by themselves')
    expect(advice({ ...rule, precision: 1 })).toBe('')
  })
  it('a cell of a spreadsheet is never a formula', () => {
    expect(csv([['=1+1', 'a"b', 3]])).toBe(`'=1+1,"a""b",3\r\n`)
  })
})

it('an explanation compares with as long a time before, or the same time of another day', () => {
  expect(baseline({ from_ms: 1000, to_ms: 1500 }, 'before')).toEqual({ from_ms: 500, to_ms: 1000 })
  expect(baseline({ from_ms: 86_400_000, to_ms: 86_400_500 }, 'day')).toEqual({ from_ms: 0, to_ms: 500 })
})

it('gaps stand in the order of the path to a person, unknown kinds last', () => {
  const findings = ['new_kind', 'route_without_person', 'service_without_check'].map((kind) => ({ kind, subject: 's', text: 't' }))
  expect(grouped(findings).map((group) => group.kind)).toEqual(['service_without_check', 'route_without_person', 'new_kind'])
})
