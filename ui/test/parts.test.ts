import { describe, expect, it } from 'vitest'
import type { CheckResult } from '../src/lib/api'
import { prefixOf } from '../src/lib/base'
import { reach } from '../src/lib/chart'
import { problem } from '../src/lib/client'
import { evidence } from '../src/lib/evidence'
import { meaning } from '../src/lib/keys'
import { match } from '../src/lib/match'
import { compared, durations, errors } from '../src/lib/red'
import { limits, ruleLook, ruleWord, type Rule, type RuleGroup } from '../src/lib/rules'
import { actorName, byLine, tone } from '../src/lib/timeline'

describe('addresses', () => {
  it.each([
    ['https://x.example/assets/index-1.js', ''],
    ['https://x.example/ops/tocsin/assets/index-1.js', '/ops/tocsin'],
    ['http://127.0.0.1:8911/src/lib/base.ts', ''],
    ['file:///srv/ui/src/lib/base.ts', ''],
  ])('prefix of %s', (url, prefix) => expect(prefixOf(url)).toBe(prefix))
  it('match a pattern part by part', () => {
    expect(match('/checks/:id', '/checks/a%20b')).toEqual({ id: 'a b' })
    expect(match('/checks/:id', '/checks/')).toBeNull()
    expect(match('/checks', '/checks/')).toEqual({})
    expect(match('/checks/:id', '/checks/%zz')).toEqual({ id: '%zz' })
    expect(match('/', '/')).toEqual({})
  })
  it('may leave out a last part that ends in a question mark', () => {
    expect(match('/services/:name/:tab?', '/services/a')).toEqual({ name: 'a' })
    expect(match('/services/:name/:tab?', '/services/a/')).toEqual({ name: 'a' })
    expect(match('/services/:name/:tab?', '/services/a/slo')).toEqual({ name: 'a', tab: 'slo' })
    expect(match('/services/:name/:tab?', '/services')).toBeNull()
    expect(match('/services/:name/:tab?', '/services/a/slo/b')).toBeNull()
  })
})

describe('errors of the server', () => {
  it('reads problem+json, Prometheus and FastAPI alike', () => {
    expect(problem(409, '{"title":"changed","detail":"Ben was faster","request_id":"r1"}', '')).toMatchObject({ status: 409, message: 'Ben was faster', requestId: 'r1' })
    expect(problem(400, '{"status":"error","errorType":"bad_data","error":"1:5: unexpected )"}', 'r2')).toMatchObject({ message: '1:5: unexpected )', requestId: 'r2' })
    expect(problem(404, '{"detail":"no such check"}', '').message).toBe('no such check')
  })
  it('says something human about a page of a proxy', () => expect(problem(502, '<html>Bad gateway', '').message).toBe('Tocsin could not answer.'))
})

describe('evidence', () => {
  it('answers first, and keeps everything text', () => {
    const facts = { body: '<b>x</b>', status: 503, headers: { server: 'nginx', date: 'Sun' }, http_version: '1.1', tree: { a: { b: 1 } }, ok: false, empty: null, list: [1, 2] }
    expect(evidence({ facts } as unknown as CheckResult)).toEqual([['Status', '503'], ['Body', '<b>x</b>'], ['Headers', 'server: nginx\ndate: Sun'], ['HTTP version', '1.1'], ['Tree', JSON.stringify({ a: { b: 1 } }, null, 2)], ['Ok', 'no'], ['List', '1, 2']])
  })
})

describe('keys', () => {
  it.each([
    ['a', 'g', { go: '/alerts' }],
    ['a', '', { act: 'a' }],
    ['z', 'g', null],
    ['q', '', null],
    ['?', '', { act: '?' }],
  ])('%s after %j', (key, before, meant) => expect(meaning(key, before)).toEqual(meant))
})

describe('a service', () => {
  const rule = (name: string, query: string, labels: Record<string, string>): Rule => ({ type: 'alerting', name, query, labels, health: 'ok', evaluationTime: 0, lastEvaluation: '' })
  const groups = [{ name: 'http', rules: [rule('a', 'p95 > 5 and x >= 2', { signal: 'latency', severity: 'critical' }), rule('b', 'p95 > 1', { signal: 'latency', severity: 'warning' }), rule('c', 'e / r > 0.05', { signal: 'errors', severity: 'critical' }), rule('d', 'n >= 5', { signal: 'errors', severity: 'critical' })] }] as unknown as RuleGroup[]
  it('shows the limits of its own rules', () => {
    expect(limits(groups, 'latency', ['warning', 'critical']).map((one) => [one.value, one.look])).toEqual([[1, 'warning'], [5, 'critical']])
    expect(limits(groups, 'errors', ['warning', 'critical']).map((one) => one.label)).toEqual(['critical 5 %'])
  })
  it('draws no limit of a rule about another service, and finds the signal of a rule that does not name it', () => {
    const p95 = 'histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{service="web"}[5m]))) > 2'
    const share = 'sum(rate(http_server_request_duration_seconds_count{service=~"web|shop",http_response_status_code=~"5.."}[5m])) / sum(rate(http_server_request_duration_seconds_count{service=~"web|shop"}[5m])) > 0.03'
    const own = [{ name: 'own', rules: [rule('slow', p95, { severity: 'warning' }), rule('fails', share, { severity: 'critical' }), rule('labelled', 'x > 9', { signal: 'latency', service: 'blog' }), rule('of all', 'p95{service!="web"} > 4', { signal: 'latency' })] }] as unknown as RuleGroup[]
    const values = (kind: 'latency' | 'errors', service: string) => limits(own, kind, ['warning', 'critical'], service).map((one) => one.value)
    expect([values('latency', 'web'), values('latency', 'blog'), values('latency', 'shop')]).toEqual([[2], [4, 9], [4]])
    expect([values('errors', 'web'), values('errors', 'shop'), values('errors', 'blog')]).toEqual([[0.03], [0.03], []])
  })
  it('finds the share among several conditions', () => {
    const high = '(\n  wilson1h > 0.01 and errors1h >= 5\n  or wilson30m > 0.01 and errors30m >= 5\n)\nand service:http_errors:increase15m / service:http_requests:increase15m > 0.01'
    const all = [{ name: 'http', rules: [rule('high', high, { signal: 'errors', severity: 'warning' }), rule('either', 'a / b > 0.5 or c > 1', { signal: 'errors' })] }] as unknown as RuleGroup[]
    expect(limits(all, 'errors', ['warning', 'critical']).map((one) => one.label)).toEqual(['warning 1 %'])
  })
  it('quotes names that would break PromQL', () => expect(errors('a"b')[0]?.query).toContain('service="a\\"b"'))
  it('compares with the time before by offset', () => {
    const hour = { from_ms: 0, to_ms: 3_600_000 }
    const before = (ago: string) => compared(durations('web'), ago, hour).at(-1)
    expect(compared(durations('web'), '', hour)).toHaveLength(3)
    expect(before('1w')).toEqual({ name: 'p95, a week before', twin: 'p95', query: 'histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket{service="web"}[5m] offset 604800s)))' })
    expect(before('prev')?.query).toContain('[5m] offset 3600s')
    expect(compared(errors('web'), '1d', hour).at(-1)).toMatchObject({ name: '5xx, a day before', twin: '5xx' })
  })
})

describe('charts and timelines', () => {
  it('begin at zero and reach up to a limit that is near', () => {
    const limit = { value: 1, label: '', look: 'warning' as const }
    expect(reach(0.2, 0.5, [limit])[1]).toBeCloseTo(1.08)
    expect(reach(0.01, 0.02, [limit])[1]).toBeCloseTo(0.0216)
    expect(reach(null, null, [])).toEqual([0, 1])
    expect(reach(-2, 4, [])[0]).toBe(-2)
  })
  it('name who acted', () => {
    expect(actorName('user:ana')).toBe('ana')
    expect(actorName('system:escalate')).toBe('Tocsin (escalate)')
    expect(tone('acknowledged')).toBe('person')
    expect(tone('fired')).toBe('bad')
  })
})

describe('state of a rule', () => {
  const rule = (more: Partial<Rule>) => ({ type: 'alerting', name: 'r', query: 'up', health: 'ok', state: 'inactive', evaluationTime: 0, lastEvaluation: '', ...more }) as Rule
  it('has the look that its alerts have', () => {
    const severities = ['info', 'warning', 'critical']
    const firing = (severity: string) => ruleLook(rule({ state: 'firing', labels: { severity } }), severities)
    expect(severities.map(firing)).toEqual(['info', 'warning', 'critical'])
    expect(ruleLook(rule({ health: 'err', state: 'firing' }))).toBe('critical')
    expect([ruleLook(rule({})), ruleLook(rule({ type: 'recording' }))]).toEqual(['ok', 'info'])
  })
  it('has a word of its own', () => {
    expect([rule({}), rule({ state: 'pending' }), rule({ state: 'firing' }), rule({ health: 'err' }), rule({ type: 'recording' })].map(ruleWord)).toEqual(['quiet', 'pending', 'firing', 'fails', 'records'])
  })
})

describe('whose line it is', () => {
  it.each([
    ['user:ana', '', 'ana acknowledged by ui after 45s', ''],
    ['user:ana', '', 'Rolling back 8f2c.', 'ana'],
    ['system:deliver', 'accepted', 'page to ben by email, attempt 1: accepted in 18 ms', 'Tocsin'],
    ['system:tocsin', 'held_back', 'message to ben', 'Tocsin · held back'],
  ])('%s %s', (actor, cause, text, by) => expect(byLine({ actor, cause, text })).toBe(by))
})
