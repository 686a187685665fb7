import { afterEach, describe, expect, it, vi } from 'vitest'
import type { CheckResult, PlaceOfRun } from '../src/lib/api'
import { runNow } from '../src/lib/runnow'
import { conversation, otherFacts } from '../src/lib/conversation'
import { agreement, runLook, runWord } from '../src/lib/run'

const result = (facts: Record<string, unknown>, more: Partial<CheckResult> = {}) => ({ facts, unknown: false, degraded: false, ...more }) as CheckResult
const place = (location: string, verdict: PlaceOfRun['verdict']): PlaceOfRun => ({ location, verdict, t_ms: 1, message: '', run: 0 })

describe('a run as a conversation', () => {
  it('shows the request, the head of the answer and how much of the body there is', () => {
    const facts = { request: { method: 'GET', url: 'https://shop/health', headers: { host: 'shop', authorization: '<hidden>' }, body_bytes: 0 }, status: 503, http_version: '1.1', headers: { server: 'x' }, body_excerpt: 'sorry', body_bytes: 9000, body_cut: false, address: '1.2.3.4:443' }
    const said = conversation(result(facts))
    expect(said.request).toBe('GET https://shop/health\nhost: shop\nauthorization: <hidden>')
    expect(said.head).toBe('HTTP/1.1 503\nserver: x')
    expect(said.note).toBe('the first 5 of 9000 bytes')
    expect(otherFacts(result(facts))).toEqual([['Address', '1.2.3.4:443']])
  })
  it('says nothing where there was no such conversation', () => {
    expect(conversation(result({ address: 'x', request: 'odd', headers: [1] }))).toEqual({ request: '', head: '', body: '', note: '0 bytes' })
  })
})

describe('the places', () => {
  it('agree or not, among those that saw anything', () => {
    expect(agreement([place('local', 'failed')])).toBe('only local looks at it')
    expect(agreement([place('local', 'failed'), place('paris', 'failed')])).toBe('all 2 agree')
    expect(agreement([place('local', 'failed'), place('paris', 'ok'), place('oslo', 'failed'), place('rome', 'silent')])).toBe('2 of 3 agree')
    expect(agreement([place('local', 'ok'), place('paris', 'degraded')])).toBe('all 2 agree')
    expect(agreement([place('local', 'ok'), place('paris', 'silent')])).toBe('the others saw nothing at that time')
  })
  it('a run is as it was judged', () => {
    expect([runLook({ ok: true, result: result({}, { degraded: true }) }), runWord({ ok: false, result: result({}) })]).toEqual(['warning', 'Failed'])
  })
})

describe('a run that is followed', () => {
  const answer = (...parts: string[]) => {
    const chunks = parts.map((part) => new TextEncoder().encode(part))
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(new ReadableStream({ pull: (to) => { const next = chunks.shift(); if (next) to.enqueue(next); else to.close() } }), { status: 200 })))
  }
  afterEach(() => vi.unstubAllGlobals())
  it('tells each phase, however the bytes are cut, and then its result', async () => {
    const told: string[] = []
    answer('{"doing":"résolv', 'ing","phases":[]}\n{"doing":"connecting","phases":[]}\n{"resu', 'lt":{"message":"fine"}}\n')
    const result = await runNow('shop', (progress) => told.push(progress.doing))
    expect(told).toEqual(['résolving', 'connecting'])
    expect(result.message).toBe('fine')
  })
  it('fails with what the server says, and when the end is missing', async () => {
    answer('{"error":{"code":"probe_away","message":"no probe"}}\n')
    await expect(runNow('shop', () => {})).rejects.toThrow('no probe')
    answer('{"doing":"connecting","phases":[]}\n')
    await expect(runNow('shop', () => {})).rejects.toThrow('ended before')
  })
})
