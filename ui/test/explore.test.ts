import { describe, expect, it } from 'vitest'
import { placed } from '../src/lib/faults'
import { forgotten, read, starred, used, write, type Kept } from '../src/lib/history'
import { expression, problems, seconds, snippet, type Draft } from '../src/lib/rulemaker'

describe('where an expression is wrong', () => {
  it('line and column become a place in the text', () => {
    expect(placed('invalid parameter "query": 1:15: parse error: unexpected ")"', 'sum(rate(up[5m)')).toEqual({ at: 14, message: 'unexpected ")"' })
    expect(placed('2:3: parse error: x', 'up\n+ foo(1)')).toEqual({ at: 5, message: 'x' })
    expect(placed('9:99: parse error: x', 'up').at).toBe(2)
    expect(placed('invalid parameter "query": too long', 'up')).toEqual({ at: 0, message: 'too long' })
  })
})

describe('what was asked before', () => {
  it('newest first, each once, stars stay', () => {
    let list: Kept[] = []
    for (const [index, query] of ['a', 'b', 'a', ' '].entries()) list = used(list, query, index)
    expect(list.map((one) => one.query)).toEqual(['a', 'b'])
    list = starred(list, 'b')
    for (let index = 0; index < 300; index++) list = used(list, `q${index}`, index)
    expect(list.length).toBeLessThanOrEqual(101)
    expect(list.some((one) => one.query === 'b')).toBe(true)
    expect(forgotten(list, 'b').some((one) => one.query === 'b')).toBe(false)
  })
  it('a broken or forbidden store is an empty one', () => {
    expect(read({ getItem: () => '{"not":"a list"}' })).toEqual([])
    expect(read({ getItem: () => '[1, {"query": 5}, {"query": "up", "used_ms": 1}]' })).toEqual([{ query: 'up', used_ms: 1, starred: false }])
    expect(read({ getItem: () => { throw new Error('denied') } })).toEqual([])
    expect(() => write({ setItem: () => { throw new Error('full') } }, [])).not.toThrow()
  })
})

describe('alert from this', () => {
  const draft: Draft = { name: 'Slow', query: 'up', operator: '>', limit: '1', for: '5m', severity: 'warning', summary: '' }
  it.each([
    ['up', 'up > 1'],
    ['up{job="a"}', 'up{job="a"} > 1'],
    ['sum by (a) (rate(x[5m]))', 'sum by (a) (rate(x[5m])) > 1'],
    ['sum(a) / sum(b)', '(sum(a) / sum(b)) > 1'],
    ['a or b', '(a or b) > 1'],
  ])('%s is compared as a whole', (query, whole) => expect(expression({ ...draft, query })).toBe(whole))

  it('makes a file that YAML reads back, whatever the text holds', () => {
    const text = snippet({ ...draft, query: 'up{a="b: #"}', summary: 'line\n"quoted": {{ $labels.x }}' })
    expect(text).toContain(String.raw`expr: "up{a=\"b: #\"} > 1"`)
    expect(text).toContain(String.raw`summary: "line\n\"quoted\": {{ $labels.x }}"`)
  })
  it('says what is wrong before it is copied', () => {
    expect(problems(draft)).toEqual([])
    expect(problems({ ...draft, name: '5 slow', limit: 'x', for: '5', query: ' ' })).toHaveLength(4)
  })
  it('durations of PromQL in seconds', () => expect([seconds('5m'), seconds('1h30m'), seconds('0')]).toEqual([300, 5400, 0]))
})
