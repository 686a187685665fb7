import { describe, expect, it } from 'vitest'
import { counted, given, grouped, MIDDLEWARE, placeOf, WAYS, type Taken } from '../src/lib/additions'

const of = (what: string, name = what): Taken => ({ what, name, note: '' })

describe('what an import takes', () => {
  it('is counted by kind in the order in which the kinds appear', () => {
    expect(counted([of('job'), of('rules'), of('job')])).toBe('2 scrape jobs, 1 group of rules')
    expect(counted([of('policy'), of('policy'), of('odd'), of('odd')])).toBe('2 policies, 2 odds')
    expect(grouped([of('a', '1'), of('b', '2'), of('a', '3')]).map((one) => [one.what, one.rows.length])).toEqual([['a', 2], ['b', 1]])
  })

  it('is seen on the page of what matters most', () => {
    expect(placeOf([of('panel'), of('dashboard')])?.path).toBe('/dashboards')
    expect(placeOf([of('job'), of('check')])?.path).toBe('/checks')
    expect(placeOf([of('user')])).toBeNull()
  })
})

describe('what was typed', () => {
  it('is a file beside the chosen ones; one address carries its service', () => {
    expect(given([], '  ', 'shop')).toEqual([])
    expect(given([], ' shop.example:9100 ', 'shop')).toEqual([{ name: 'the address', text: 'shop.example:9100 service=shop' }])
    const chosen = [{ name: 'a.yml', text: 'x' }]
    expect(given(chosen, 'groups:\n- name: a', 'shop')).toEqual([...chosen, { name: 'the pasted text', text: 'groups:\n- name: a' }])
  })
})

it('each way has an address, and the three frameworks have their lines', () => {
  for (const way of WAYS) expect(way.address).not.toBe('')
  expect(Object.keys(MIDDLEWARE)).toEqual(['FastAPI', 'Django', 'Flask'])
})
