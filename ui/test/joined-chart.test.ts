import { afterEach, describe, expect, it, vi } from 'vitest'
import { asked, byUnit, letterOf, lineName, linePlace, toggled, without } from '../src/lib/asked'
import { drawnTogether, joined, type Part } from '../src/lib/drawing'
import { strokeOf, type Columns, type Line } from '../src/lib/prom'
import { stackedByTime } from '../src/lib/stack'

const line = (name: string, more: Partial<Line> = {}): Line => ({ name, labels: { i: name }, values: [1], ...more })
const columns = (lines: Line[], more: Partial<Columns> = {}): Columns => ({ t_s: [1], lines, hidden: 0, ...more })

describe('the expressions of Explore', () => {
  it('have letters, beyond Z too', () => expect([0, 25, 26, 27, 52].map(letterOf)).toEqual(['A', 'Z', 'AA', 'AB', 'BA']))
  it('are switched off by letter; when one goes those below move up and stay as they were', () => {
    expect(toggled(['C'], 'A')).toEqual(['A', 'C'])
    expect(toggled(['A', 'C'], 'C')).toEqual(['A'])
    expect(asked(['a', 'b'], ['B']).map((one) => [one.letter, one.on])).toEqual([['A', true], ['B', false]])
    expect(without(['a', 'b', 'c'], ['A', 'C'], 1)).toEqual({ queries: ['a', 'c'], off: ['A', 'B'] })
    expect(without(['a', 'b', 'c'], ['B'], 1)).toEqual({ queries: ['a', 'c'], off: [] })
  })
  it('share an axis with those of their unit; a chosen unit is that of all', () => {
    const list = asked(['node_filesystem_size_bytes', 'up', 'node_memory_MemFree_bytes'], [])
    expect(byUnit(list, undefined).map((one) => [one.unit, one.list.map((each) => each.letter).join('')])).toEqual([['bytes', 'AC'], ['', 'B']])
    expect(byUnit(list, 's').map((one) => one.list.length)).toEqual([3])
  })
  it('name their lines by letter and labels, or by themselves', () => {
    const [one] = asked(['sum(\n  up )'], [])
    if (!one) throw new Error('none')
    expect(lineName(one, line('x'))).toBe('A x')
    expect(lineName(one, line('value', { labels: {} }))).toBe('A sum( up )')
  })
  it.each([1, 2, 3, 7, 14])('of %d each begins with a colour of its own, whatever the others find', (count) => {
    const list = asked(Array.from({ length: count }, () => 'up'), [])
    const places = list.flatMap((one) => [0, 1, 2].map((index) => linePlace(one, index, count)))
    expect(new Set(places).size).toBe(places.length)
    expect(new Set(list.slice(0, 7).map((one) => linePlace(one, 0, count) % 7)).size).toBe(Math.min(7, count))
    expect(new Set([0, 1, 2].map((index) => linePlace(list[0] ?? one(), index, count) % 7)).size).toBe(3)
  })
})
const one = () => ({ letter: 'A', query: '', on: true, place: 0 })

describe('several answers in one chart', () => {
  it('stand before what they were a while ago, which finds its own line', () => {
    const reads = { samples: 5, seconds: 1, series: 2, step_s: 15 }
    const both = joined([columns([line('a'), line('a, before', { twin: 0 })], { hidden: 2, reads }), columns([line('b'), line('c'), line('c, before', { twin: 1 })], { reads })])
    expect(both.lines.map((one) => [one.name, one.twin])).toEqual([['a', undefined], ['b', undefined], ['c', undefined], ['a, before', 0], ['c, before', 2]])
    expect([both.hidden, both.reads]).toEqual([2, { samples: 10, seconds: 2, series: 4, step_s: 15 }])
    expect(joined([])).toEqual({ t_s: [], lines: [], hidden: 0 })
  })
  it('keep their colours by their place, their twins too', () => {
    expect(strokeOf(line('b', { place: 3 }), 0)).toEqual({ colour: 4, dash: '' })
    expect(strokeOf(line('b', { place: 3, twin: 0 }), 1)).toEqual({ colour: 4, dash: 'dotted' })
  })
  it('are stacked by their time: the past is no part of today', () => {
    expect(stackedByTime([{ values: [1] }, { values: [2] }, { values: [10], twin: 0 }, { values: [20], twin: 1 }], () => true)).toEqual([[1], [3], [10], [30]])
  })
})

describe('asking for several', () => {
  afterEach(() => vi.unstubAllGlobals())
  const steps: string[] = []
  /** Answers each expression with one series on the grid it asked for, or with a refusal. */
  function server(refuse: (query: string, peaks: boolean) => number) {
    steps.length = 0
    vi.stubGlobal('fetch', async (url: string) => {
      const wanted = new URL(url, 'http://x').searchParams
      steps.push(`${wanted.get('query')} ${wanted.get('peaks') ? 'peaks' : wanted.get('step')}`)
      const status = refuse(wanted.get('query') ?? '', wanted.has('peaks'))
      const body = status === 200 ? { data: { resultType: 'matrix', result: [{ metric: { q: wanted.get('query') }, values: [[Number(wanted.get('start')), '1']] }] } } : { error: `refused ${wanted.get('query')}` }
      return new Response(JSON.stringify(body), { status })
    })
  }
  const parts = (...queries: string[]): Part[] => queries.map((query) => ({ query, called: () => ({ name: query }) }))
  const range = { from_ms: 0, to_ms: 86_400_000 }
  const wanted = { range, points: 100, most: 20 }

  it('one that is wrong says so, and the others are drawn', async () => {
    server((query) => (query === 'up' ? 200 : 400))
    const answer = await drawnTogether(parts('up', 'wrong('), { ...wanted, step_s: 900 })
    expect([answer.data.lines.map((one) => one.name), answer.faults]).toEqual([['up'], [{ part: 1, message: 'refused wrong(' }]])
  })
  it('no answer at all is no fault of the expression', async () => {
    server(() => 500)
    await expect(drawnTogether(parts('up', 'x'), wanted)).rejects.toThrow('refused')
  })
  it('all are looked at as finely as the one that needs it, and all coarsely when one can be had no other way', async () => {
    server(() => 200)
    await drawnTogether(parts('queue', 'rate(x[1h])'), wanted)
    expect(steps).toEqual(['queue peaks', 'rate(x[1h]) peaks'])
    server((query, peaks) => (query === 'many' && peaks ? 422 : 200))
    const answer = await drawnTogether(parts('queue', 'many'), wanted)
    expect(answer.data.lines.map((one) => one.name)).toEqual(['queue', 'many'])
    expect(new Set(answer.data.lines.map((one) => one.values.length)).size).toBe(1)
  })
})
