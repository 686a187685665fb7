import { describe, expect, it } from 'vitest'
import { Kept, upTo } from '../src/lib/gradual.svelte'

describe('a long list on the page', () => {
  it('stands there up to a number of rows over all groups', () => {
    const groups = [
      { name: 'a', members: [1, 2, 3] },
      { name: 'b', members: [4, 5] },
      { name: 'c', members: [6] },
    ]
    expect(upTo(groups, 4)).toEqual([groups[0], { name: 'b', members: [4] }])
    expect(upTo(groups, 5).map((group) => group.name)).toEqual(['a', 'b'])
    expect(upTo(groups, 40)).toEqual(groups)
    expect(upTo([], 40)).toEqual([])
  })

  it('keeps the objects of rows that did not change', () => {
    const kept = new Kept<{ id: string; n: number }>((row) => row.id)
    const [a, b] = kept.of([{ id: 'a', n: 1 }, { id: 'b', n: 1 }])
    const again = kept.of([{ id: 'b', n: 2 }, { id: 'a', n: 1 }, { id: 'c', n: 1 }])
    expect(again[1]).toBe(a)
    expect(again[0]).not.toBe(b)
    expect(again.map((row) => row.n)).toEqual([2, 1, 1])
  })

  it('forgets rows that left', () => {
    const kept = new Kept<{ id: string }>((row) => row.id)
    const [a] = kept.of([{ id: 'a' }])
    kept.of([])
    expect(kept.of([{ id: 'a' }])[0]).not.toBe(a)
  })
})
