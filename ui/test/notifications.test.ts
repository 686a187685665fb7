import { describe, expect, it } from 'vitest'
import type { IncidentDetail } from '../src/lib/api'
import { logQuery, whyNot } from '../src/lib/notifications'

describe('the filters of the log', () => {
  it('asks the server for each of them, and for a time that does not change by the second', () => {
    const of = (values: Record<string, string>) => (name: string) => values[name] ?? ''
    expect(logQuery(of({}), 1_000_000_000)).toBe('')
    expect(logQuery(of({ incident: '7', q: 'pool full', state: 'failed', other: 'x' }), 0)).toBe('incident=7&state=failed&q=pool+full')
    const early = logQuery(of({ within: '1' }), 7_200_000_001)
    expect(early).toBe('from=7196400000')
    expect(logQuery(of({ within: '1' }), 7_200_030_000)).toBe(early)
    expect(logQuery(of({ within: 'soon' }), 1)).toBe('')
  })
})

describe('why somebody was not paged', () => {
  const step = (index: number, targets: string[], executed_ms: number) => ({ index, targets, delay_ms: 0, executed_ms })
  const base = { policy: 'web', state: 'triggered', next_escalation_to: '', policy_steps: [step(0, ['schedule primary'], 1), step(1, ['ben'], 0)], why: [{ who: 'ana', told: true, text: '', t_ms: 1, channel: 'sms', state: 'delivered' }] } as unknown as IncidentDetail
  it('says nothing of who stands in the list: the list does', () => {
    expect(whyNot(base, 'ana')).toBe('')
  })
  it('names the level that was not reached, and who took it before', () => {
    expect(whyNot(base, 'ben')).toBe('ben stands in level 2 of the policy web, which was not reached. Told: ana.')
    expect(whyNot({ ...base, state: 'acknowledged' }, 'ben')).toContain('somebody took it before')
  })
  it('says of others that they were not on call', () => {
    expect(whyNot(base, 'chi')).toBe('chi was not among those to tell: of the policy web, level 1 (schedule primary) was reached, and chi was not on call there at that time. Told: ana.')
    expect(whyNot({ ...base, policy_steps: [], why: [] }, 'chi')).toContain('places only')
  })
})
