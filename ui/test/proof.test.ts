import { describe, expect, it } from 'vitest'
import { against, deadManLook, steps, verdict, wayLook, wayWord, type ProofState, type Way } from '../src/lib/proof'

const NOW = 10_000_000
const way = (more: Partial<Way> = {}): Way => ({ lane: 'email mail:25', channel: 'email', through: '', notification: '', drilled_ms: 0, state: 'never', reason: '', proven_ms: NOW - 60_000, unproven: false, ...more })
const dead = { configured: true, every_ms: 60_000, called_ms: NOW - 30_000, trouble: '' }
const fine: ProofState = { path: [{ name: 'rules', ok: true, text: '' }], dead_man: dead, ways: [way()], counts: { open: 1, waiting: 0, failed: 0 } }

describe('the pager', () => {
  it('is alive when nothing speaks against it', () => {
    expect(against(fine, NOW)).toEqual([])
    expect(verdict([]).look).toBe('ok')
  })
  it('is in doubt for each broken part, worst first', () => {
    const reasons = against({ ...fine, path: [{ name: 'rules', ok: false, text: 'last evaluated 9m ago' }], dead_man: { ...dead, configured: false }, ways: [way({ state: 'failed', drilled_ms: NOW, reason: 'refused' }), way({ lane: 'sms', proven_ms: 0 })] }, NOW)
    expect(reasons.map((one) => one.look)).toEqual(['critical', 'critical', 'warning', 'warning'])
    expect(reasons[1]?.text).toBe('email mail:25: refused')
    expect(verdict(reasons).look).toBe('critical')
  })
  it('is not called alive while a drill fails or was never answered', () => {
    const failing = against({ ...fine, ways: [way({ state: 'pending', reason: 'refused', drilled_ms: NOW, proven_ms: 0 })] }, NOW)
    expect(failing).toEqual([{ look: 'warning', text: 'email mail:25: drill failed so far, tried again; never proven: refused' }])
    expect(against({ ...fine, ways: [way({ state: 'pending', drilled_ms: NOW, proven_ms: 0 })] }, NOW)[0]?.text).toContain('never proven')
  })
  it('needs a way to somebody', () => {
    expect(against({ ...fine, ways: [] }, NOW)[0]?.text).toContain('nobody can be reached')
  })
})

describe("the dead man's switch", () => {
  it('is judged by its calls', () => {
    expect(deadManLook(dead, NOW)).toBe('ok')
    expect(deadManLook({ ...dead, called_ms: NOW - 200_000 }, NOW)).toBe('critical')
    expect(deadManLook({ ...dead, trouble: 'HTTP 500' }, NOW)).toBe('critical')
    expect(deadManLook({ ...dead, called_ms: 0 }, NOW)).toBe('pending')
    expect(deadManLook(undefined, NOW)).toBe('unknown')
  })
})

describe('a way', () => {
  it('is proven by anything that was accepted since its drill', () => {
    expect(wayLook(way({ state: 'failed', drilled_ms: NOW - 120_000 }))).toBe('ok')
    expect(wayLook(way({ state: 'failed', drilled_ms: NOW }))).toBe('critical')
    expect(wayLook(way({ state: 'pending', drilled_ms: NOW }))).toBe('pending')
    expect(wayLook(way({ proven_ms: 0 }))).toBe('unknown')
    expect(wayWord(way({ state: 'held', drilled_ms: NOW }), NOW)).toBe('drill held back; proven 1m ago')
  })
})

describe('a self-test', () => {
  it('says where the time went', () => {
    const hop = (name: string, after_ms: number, ok = true) => ({ name, ok, t_ms: ok ? 5 : 0, after_ms, text: '' })
    expect(steps([hop('sample', 3), hop('rule', 1386), hop('alert', 0, false)])).toEqual([{ after: '0.003 s', took_ms: 3 }, { after: '1.386 s', took_ms: 1383 }, { after: '', took_ms: 0 }])
  })
})
