import { describe, expect, it } from 'vitest'
import type { IncidentChange } from '../src/lib/api'
import { beforeWords, suspects } from '../src/lib/likely'
import { byLine, tone } from '../src/lib/timeline'
import { added, changed, overdue, todosOf } from '../src/lib/todos'

describe('action items', () => {
  it('reads what this version, older ones and the API wrote', () => {
    const found = todosOf({ follow_ups: ['plain', { text: 'raise the pool', owner: 'ana', due: '2026-12-01', done: true }, { owner: 'ben' }, 7, null] })
    expect(found).toEqual([
      { text: 'plain', owner: '', due: '', done: false },
      { text: 'raise the pool', owner: 'ana', due: '2026-12-01', done: true },
    ])
    expect(todosOf({})).toEqual([])
  })
  it('adds one, but not the same twice, and none without words', () => {
    const one = added([], '  alert earlier ', 'ana', '')
    expect(one).toEqual([{ text: 'alert earlier', owner: 'ana', due: '', done: false }])
    expect(added(one, 'alert earlier', 'ben', '')).toBe(one)
    expect(added(one, '   ', 'ben', '')).toBe(one)
    expect(changed(one, 0, { done: true })[0]?.done).toBe(true)
  })
  it('is overdue only by a date that is over, and only while it is open', () => {
    const todo = { text: 'x', owner: '', due: '2026-11-21', done: false }
    expect(overdue(todo, '2026-11-22')).toBe(true)
    expect(overdue({ ...todo, done: true }, '2026-11-22')).toBe(false)
    expect(overdue({ ...todo, due: 'next week' }, '2026-11-22')).toBe(false)
  })
})

describe('what was changed before an incident', () => {
  const change = (id: number, t_ms: number): IncidentChange => ({ id, t_ms, kind: 'deploy', service: 'shop', text: `v${id}` })
  it('names the nearest first, and nothing that came later or long before', () => {
    const created = 10 * 3_600_000
    const found = suspects([change(1, created - 3 * 3_600_000), change(2, created - 600_000), change(3, created - 120_000), change(4, created + 600_000)], created)
    expect(found.map((one) => one.id)).toEqual([3, 2])
    expect(beforeWords(change(3, created - 120_000), created)).toBe('2m before it began')
    expect(beforeWords(change(5, created + 5000), created)).toBe('as it began')
  })
})

describe('the timeline', () => {
  it('tells deploys and people from what went wrong', () => {
    expect(tone('joined')).toBe('bad')
    expect(tone('marked')).toBe('person')
    expect(tone('viewed')).toBe('plain')
    expect(byLine({ actor: 'system:alerts', cause: '', text: 'Down joins' })).toBe('')
    expect(byLine({ actor: 'user:ana', cause: '', text: 'ana looked at it' })).toBe('')
  })
})
