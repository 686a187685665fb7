import { describe, expect, it } from 'vitest'
import { columns, seriesName, summary, totalOf, unitOf } from '../src/lib/prom'

describe('columns', () => {
  it('keep a gap of the data as a gap of the line; NaN and Inf are gaps', () => {
    const { t_s, lines } = columns([{ metric: { __name__: 'up' }, values: [[100, '1'], [115, 'NaN'], [145, '3'], [160, '+Inf']] }], 100, 160, 15)
    expect(t_s).toEqual([100, 115, 130, 145, 160])
    expect(lines[0]?.values).toEqual([1, null, null, 3, null])
  })
  it('name lines by what tells them apart', () => {
    const names = columns([{ metric: { __name__: 'up', job: 'a', instance: 'x' } }, { metric: { __name__: 'up', job: 'a', instance: 'y' } }], 0, 0, 15).lines.map((line) => line.name)
    expect(names).toEqual(['x', 'y'])
  })
  it('draw the highest lines and count the rest', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => ({ metric: { i: String(i) }, values: [[0, String(i)]] as [number, string][] }))
    const { lines, hidden } = columns(many, 0, 0, 15)
    expect(lines).toHaveLength(12)
    expect(hidden).toBe(99_988)
    expect(lines[0]?.values).toEqual([99_999])
  })
})

describe('how many series there are', () => {
  it.each([
    [['highest: 20 of 100000 series'], 100_000],
    [['PromQL info: metric might not be a counter', 'highest: 12 of 13 series'], 13],
    [['PromQL info: highest: 1 of 2 series in a label'], undefined],
    [undefined, undefined],
  ])('%j', (infos, total) => expect(totalOf(infos)).toBe(total))
})

describe('names, summaries and units', () => {
  it('write a series as PromQL does', () => {
    expect(seriesName({ __name__: 'up', job: 'a' })).toBe('up{job="a"}')
    expect(seriesName({ job: 'a', x: 'b' })).toBe('{job="a", x="b"}')
    expect(seriesName({})).toBe('value')
  })
  it('tell what the picture shows', () => {
    expect(summary([1, 2, 3], [4, null, 1])).toEqual({ min: 1, mean: 2.5, max: 4, last: 1, maxAt_s: 1 })
    expect(summary([1], [null])).toBeNull()
  })
  it.each([
    ['histogram_quantile(0.95, rate(http_server_request_duration_seconds_bucket[5m]))', 's'],
    ['probe_duration_seconds', 's'],
    ['node_memory_MemAvailable_bytes', 'bytes'],
    ['rate(node_network_receive_bytes_total[1m])', 'bytes/s'],
    ['node_memory_A_bytes / node_memory_B_bytes', ''],
    ['rate(node_cpu_seconds_total[1m])', ''],
    ['up', ''],
  ])('unit of %s', (query, unit) => expect(unitOf(query)).toBe(unit))
})
