import { describe, expect, it } from 'vitest'
import { merged } from '../src/lib/bands'
import { newToken } from '../src/lib/drill'
import { me, monthAfter, validMonth } from '../src/lib/oncall'
import { knowsThePast, notKept } from '../src/lib/past'
import { columns, short } from '../src/lib/prom'

describe('the past', () => {
  it.each([['/', true], ['/alerts', true], ['/alerts/00aa', true], ['/services/shop', true], ['/d/hosts', true], ['/checks', true], ['/settings', false], ['/i/4', true], ['/checks/shop', true], ['/targets', false]])('%s can be looked at as it was: %s', (path, knows) =>
    expect(knowsThePast(path)).toBe(knows),
  )
  it('says what of it was not kept', () => {
    expect(notKept('/i/4')).toContain('What was done')
    expect(notKept('/alerts')).toBe('')
  })
})

describe('spans under a chart', () => {
  const band = (from_ms: number, to_ms: number) => ({ from_ms, to_ms, look: 'critical' as const })
  it('that overlap or touch are one, in order of time', () => {
    expect(merged([band(50, 60), band(0, 10), band(5, 20), band(20, 30)])).toEqual([band(0, 30), band(50, 60)])
    expect(merged([band(0, 100), band(10, 20)])).toEqual([band(0, 100)])
    expect(merged([])).toEqual([])
  })
})

describe('names that are long or foreign', () => {
  it('a label of 10 kB is shown by both ends, letters stay whole', () => {
    expect(short('x'.repeat(10_000))).toHaveLength(111)
    expect(short('a'.repeat(120))).toHaveLength(120)
    expect([...short('👩'.repeat(200))].every((letter) => letter === '👩' || letter === '…')).toBe(true)
  })
  it('a legend of such labels stays short', () => {
    const [line] = columns([{ metric: { a: 'y'.repeat(10_000), b: '1' } }], 0, 0, 15).lines
    expect((line?.name ?? '').length).toBeLessThan(140)
  })
  it('one series without a metric name is called by its labels', () => {
    expect(columns([{ metric: { mountpoint: '/' } }], 0, 0, 15).lines[0]?.name).toBe('/')
    expect(columns([{ metric: {} }], 0, 0, 15).lines[0]?.name).toBe('value')
  })
})

describe('on call', () => {
  it('months before and after, over the year', () => {
    expect([monthAfter('2026-12', 1), monthAfter('2026-01', -1), monthAfter('2026-06', 0)]).toEqual(['2027-01', '2025-12', '2026-06'])
    expect([validMonth('2026-11'), validMonth('2026-13'), validMonth('11')]).toEqual([true, false, false])
  })
  it('lines for the configuration, whatever the name holds', () => {
    const text = me('ana: "the boss"', '', 'Europe/Lisbon')
    expect(text).toContain(String.raw`- name: "ana: \"the boss\""`)
    expect(text).toContain('notify: "schedule:primary"')
  })
  it('a drill has a token that cannot be guessed', () => expect(newToken(Uint8Array.from([0, 15, 255]))).toBe('000fff'))
})
