import { describe, expect, it } from 'vitest'
import { incidentBands, servicesIn } from '../src/lib/bands'
import { NOTHING, parsed, promql } from '../src/lib/builder'
import { beside, shiftOf } from '../src/lib/compare'
import { dots, hasDots, nearest, told } from '../src/lib/exemplars'
import { faint } from '../src/lib/chart'
import { metricsOf } from '../src/lib/metrics'
import { flat, worth, type Part } from '../src/lib/parts'
import { losesPeaks, peakStep } from '../src/lib/peaks'
import { strokeOf, type Columns } from '../src/lib/prom'
import { limitsOf, type RuleGroup } from '../src/lib/rules'
import { stacked } from '../src/lib/stack'

const line = (name: string, values: (number | null)[]) => ({ name, labels: { i: name }, values })
const columns = (t_s: number[], lines: Columns['lines']): Columns => ({ t_s, lines, hidden: 0 })

describe('the same a while ago', () => {
  it('lies on the grid of now, as the twin of its own line, dotted in its colour', () => {
    const now = columns([100, 110, 120], [line('a', [1, 2, 3]), line('b', [4, 5, 6])])
    const both = beside(now, columns([50, 60, 70], [line('b', [7, null, 9]), line('gone', [1, 1, 1])]), 50, 'a day before')
    expect(both.lines.map((one) => [one.name, one.values, one.twin])).toEqual([['a', [1, 2, 3], undefined], ['b', [4, 5, 6], undefined], ['b, a day before', [7, null, 9], 1]])
    expect(strokeOf(both.lines[2], 2)).toEqual({ colour: 2, dash: 'dotted' })
    expect(strokeOf(both.lines[1], 8)).toEqual({ colour: 2, dash: 'dashed' })
  })
  it('that begins later or is shorter leaves gaps', () => {
    const now = columns([100, 110, 120, 130], [line('a', [1, 1, 1, 1])])
    expect(beside(now, columns([60, 70], [line('a', [8, 9])]), 50, 'x').lines[1]?.values).toEqual([null, 8, 9, null])
  })
  it('is as long a time right before, a day, a week, or nothing', () => {
    expect(['', 'prev', '1d', '1w', 'what'].map((one) => shiftOf(one, { from_ms: 0, to_ms: 60_000 }))).toEqual([0, 60_000, 86_400_000, 604_800_000, 0])
  })
})

describe('stacked lines', () => {
  it('sum up from below; hidden ones add nothing; where none has a value there is a gap', () => {
    expect(stacked([[1, null, null], [2, 3, null], [4, 5, null]], (index) => index !== 1)).toEqual([[1, 0, null], [null, null, null], [5, 5, null]])
  })
  it('are filled with their own colour, whichever way the browser writes it', () => {
    expect(faint('rgb(1, 2, 3)', 0.5)).toBe('rgba(1, 2, 3, 0.5)')
    expect(faint('oklch(0.5 0.1 20)', 0.2)).toBe('color-mix(in srgb, oklch(0.5 0.1 20) 20%, transparent)')
  })
})

describe('exemplars', () => {
  const answer: Parameters<typeof dots>[0] = [{ seriesLabels: { __name__: 'x_bucket', le: '1', service: 'shop' }, exemplars: [{ labels: { trace_id: 'abc' }, value: '0.7', timestamp: 20 }, { labels: {}, value: 'NaN', timestamp: 21 }, { labels: {}, value: '3', timestamp: 10 }] }]
  it('come in the order of time, without what is no number; the slowest within reach is told with its trace first', () => {
    const all = dots(answer)
    expect(all.map((one) => one.value)).toEqual([3, 0.7])
    expect(nearest(all, 15_000, 6000)?.value).toBe(3)
    expect(nearest(all, 40_000, 6000)).toBeUndefined()
    expect(told(all[1] ?? { t_ms: 0, value: 0, labels: {} })).toBe('trace_id=abc service=shop')
  })
  it('stand at their height on quantiles only', () => expect([hasDots('histogram_quantile(0.9, x)'), hasDots('rate(x_bucket[5m])')]).toEqual([true, false]))
})

describe('peaks between two points', () => {
  it.each([['queue', 60, true], ['rate(x[5m])', 60, false], ['rate(x[5m])', 600, true], ['max_over_time(rate(x[1m])[10m:1m])', 300, true], ['x + rate(y[10m])', 60, false]])('%s every %d s', (query, step, lost) => expect(losesPeaks(query, step)).toBe(lost))
  it('come back half a stretch apart, as the server makes them', () => {
    expect([peakStep(100, 15, 500), peakStep(5760, 15, 500), peakStep(501, 15, 500)]).toEqual([15, 180, 30])
  })
})

describe('the builder', () => {
  it.each([
    'up',
    'node_load1{instance="a"}',
    'rate(x_total{job=~"a|b",i!="c"}[5m])',
    'sum by (job, i) (rate(x_total[1m]))',
    'max(node_load1)',
    'histogram_quantile(0.95, sum by (le, service) (rate(x_bucket{service="shop"}[5m])))',
  ])('%s is read and written back', (query) => {
    const parts = parsed(query)
    expect(parts && promql(parts)).toBe(query)
  })
  it.each(['a / b', 'sum(a) > 5', 'topk(3, x)', 'x offset 5m', 'rate(x[5m:1m])', 'sum(sum(x))', 'x{a="\\x41"}', 'sum without (a) (x)'])('%s has another shape', (query) => expect(parsed(query)).toBeNull())
  it('an empty one is a beginning; what is typed stays a value', () => {
    expect(parsed(' ')).toEqual(NOTHING)
    expect(promql({ ...NOTHING, metric: 'x', filters: [{ label: 'a', op: '=', value: 'say "no" \\' }] })).toBe(String.raw`x{a="say \"no\" \\"}`)
  })
})

describe('what an expression is about', () => {
  it('names its metrics, and neither functions, labels nor texts', () => {
    expect(metricsOf('sum by (job) (rate(http_total{code="500"}[5m])) / on (job) group_left max(limit) # or other')).toEqual(['http_total', 'limit'])
    expect(metricsOf('label_replace(up, "a", "$1", "b", "(.*)") and job:slow:rate5m > bool 0.5e3')).toEqual(['up', 'job:slow:rate5m'])
  })
  it('names the services it looks at, and their worst incidents shade it', () => {
    expect(servicesIn(['x{service="a",y="b"}', 'z{service=~"c"}', 'w{service = "a"}'])).toEqual(['a'])
    const of = (service: string, severity: string, resolved_ms: number) => ({ service, severity, created_ms: 10, resolved_ms }) as never
    expect(incidentBands([of('a', 'critical', 0), of('b', 'critical', 20), of('a', 'warning', 20)], 'critical', ['a'], 99)).toEqual([{ from_ms: 10, to_ms: 99, look: 'critical' }])
  })
  it('is seen against the limits of rules about just this', () => {
    const rule = (name: string, query: string, severity: string) => ({ type: 'alerting', name, query, labels: { severity }, health: 'ok', evaluationTime: 0, lastEvaluation: '' }) as const
    const groups = [{ rules: [rule('Full', '(disk_used / disk_size) > 0.9', 'critical'), rule('Filling', 'disk_used/disk_size > 0.8 and up == 1', 'warning'), rule('Other', 'x > 1', 'warning')] }] as unknown as RuleGroup[]
    expect(limitsOf(groups, 'disk_used / disk_size', ['warning', 'critical'], 'ratio').map((one) => [one.label, one.look])).toEqual([['Filling 80.0 %', 'warning'], ['Full 90.0 %', 'critical']])
    expect(limitsOf(groups, 'disk_used', ['warning', 'critical'], '')).toEqual([])
  })
  it('a tree is told parents first, each with its share of the time', () => {
    const below: Part = { text: 'x', kind: 'selector', series: 3, seconds: 0.3, own_s: 0.3, parts: [] }
    const whole: Part = { text: 'sum(x)', kind: 'aggregation', series: 1, seconds: 0.4, own_s: 0.1, parts: [below] }
    expect(flat(whole).map((one) => [one.level, one.part.text])).toEqual([[0, 'sum(x)'], [1, 'x']])
    expect([worth(below, whole), worth(whole, { ...whole, seconds: 0 })]).toEqual([0.3 / 0.4, 0])
  })
})
