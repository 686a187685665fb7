import { describe, expect, it } from 'vitest'
import { Places } from '../src/lib/places'

const storage = () => {
  const held = new Map<string, string>()
  return { getItem: (key: string) => held.get(key) ?? null, setItem: (key: string, value: string) => void held.set(key, value), held }
}

describe('what a step of the history looked like', () => {
  it('survives a reload', () => {
    const [before, store] = [new Places(), storage()]
    before.at('3 /alerts').y = 410
    before.at('3 /alerts').drawers['#run-7'] = true
    before.at('3 /alerts').kept.selected = ['a']
    before.save(store)
    const after = new Places()
    after.load(store)
    expect(after.at('3 /alerts')).toEqual({ y: 410, drawers: { '#run-7': true }, kept: { selected: ['a'] } })
    expect(after.known('4 /alerts')).toBe(false)
  })
  it('is forgotten where a new way was taken', () => {
    const places = new Places()
    for (const key of ['1 /', '2 /alerts', '3 /checks', '10 /i/7']) places.at(key).y = 5
    places.forgetFrom(3)
    expect(['1 /', '2 /alerts', '3 /checks', '10 /i/7'].map((key) => places.known(key))).toEqual([true, true, false, false])
  })
  it('does not grow', () => {
    const places = new Places()
    for (let step = 0; step < 500; step++) places.at(`${step} /`)
    expect([places.known('499 /'), places.known('400 /')]).toEqual([true, false])
  })
  it.each(['', 'no json', '{"a":1}', '[["1 /",null]]', '[[1,{"y":"x"}]]'])('reads %j as nothing', (text) => {
    const [places, store] = [new Places(), storage()]
    store.held.set('tocsin-places', text)
    places.load(store)
    expect(places.known('1 /')).toBe(false)
  })
})
