import { describe, expect, it } from 'vitest'
import type { IncidentDetail } from '../src/lib/api'
import { aim, FINAL, reachesNobody, roundMs, rungs, standing } from '../src/lib/ladder'
import { quietWords, type OnCallState } from '../src/lib/oncall'

const M = 60_000
const duty = {
  schedules: [{ schedule: 'web', who: ['ana'], until_ms: 99 }, { schedule: 'empty', who: [], until_ms: 0 }],
  people: [{ name: 'ana', teams: ['core'] }, { name: 'ben', teams: ['core'] }, { name: 'chi', teams: [] }],
  policies: [],
} as OnCallState
const policy = { name: 'shop', repeat: 2, steps: [{ targets: ['schedule:web'], delay_ms: 5 * M }, { targets: ['team:core', 'dee'], delay_ms: 10 * M }, { targets: ['schedule:empty'], delay_ms: M }], final: ['receiver:ops'] }

describe('a ladder', () => {
  it('says of each rung when it is paged and who that would be now', () => {
    const [first, second, third] = rungs(policy, duty)
    expect(first).toMatchObject({ after_ms: 0, wait_ms: 5 * M, aims: [{ text: 'schedule web', schedule: 'web', who: ['ana'], until_ms: 99 }] })
    expect(second?.after_ms).toBe(5 * M)
    expect(second?.aims.map((one) => one.who)).toEqual([['ana', 'ben'], ['dee']])
    expect(third && reachesNobody(third)).toBe(true)
    expect(first && reachesNobody(first)).toBe(false)
    expect(roundMs(policy)).toBe(16 * M)
  })
  it('takes a place for a place and not for nobody', () => {
    expect(aim('receiver:ops', duty)).toMatchObject({ text: 'receiver ops', place: true })
    expect(reachesNobody({ index: 0, after_ms: 0, wait_ms: 0, aims: [aim('receiver:ops', null)] })).toBe(false)
    expect(aim('round_robin:ana, ben', duty).text).toBe('round robin ana, ben')
  })
})

describe('where an incident stands', () => {
  const incident = (executed: number[], more: Partial<IncidentDetail> = {}) =>
    ({ number: 7, state: 'triggered', next_escalation_at_ms: 500, next_escalation_to: '', acknowledged_by: '', policy_steps: executed.map((executed_ms, index) => ({ index, targets: [`schedule s${index}`], delay_ms: M, executed_ms })), ...more }) as IncidentDetail

  it('is the rung that was paged last, and the next comes at its time', () => {
    expect(standing(incident([100, 0, 0]))).toMatchObject({ at: 0, next: 1, next_at_ms: 500 })
    expect(standing(incident([0, 0, 0]))).toMatchObject({ at: -1, next: 0 })
  })
  it('begins again after the last rung, or ends at the last resort', () => {
    expect(standing(incident([100, 200, 300], { next_escalation_to: 'schedule s0' }))).toMatchObject({ at: 2, next: 0 })
    expect(standing(incident([100, 200, 300], { next_escalation_to: 'receiver ops' }))).toMatchObject({ at: 2, next: FINAL })
    // In the second round the first rung was paged again, later than the last one.
    expect(standing(incident([400, 200, 300]))).toMatchObject({ at: 0, next: 1 })
  })
  it('does not climb once somebody has it', () => {
    expect(standing(incident([100, 0, 0], { state: 'acknowledged', acknowledged_by: 'ana' }))).toMatchObject({ at: 0, next: -1, next_at_ms: 0, by: 'ana' })
    expect(standing(incident([100, 0, 0], { next_escalation_at_ms: 0 })).next).toBe(-1)
  })
})

it('quiet hours are words', () => {
  const quiet = { from: '22:00', to: '07:00', time_zone: 'Europe/Paris', allow: ['critical'], until_ms: 0 }
  expect(quietWords(quiet)).toBe('22:00 – 07:00 (Europe/Paris), critical gets through')
  expect(quietWords({ ...quiet, allow: [] })).toContain('nothing gets through')
})
