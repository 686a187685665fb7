import { describe, expect, it } from 'vitest'
import type { IncidentRow, Overview } from '../src/lib/api'
import { heardOf, news } from '../src/lib/spoken'

const incident = (number: number, more: Partial<IncidentRow> = {}) => ({ number, title: `T${number}`, severity: 'critical', state: 'triggered', ...more }) as IncidentRow
const overview = (critical: number, ...incidents: IncidentRow[]) => ({ alerts: { firing: { critical } }, incidents, sentence: 'All else is well.' }) as unknown as Overview

describe('what is spoken', () => {
  it('is nothing while nothing is new, and nothing when something ends', () => {
    expect(news(heardOf(overview(1, incident(1))), overview(1, incident(1)))).toBe('')
    expect(news(heardOf(overview(2, incident(1), incident(2))), overview(1, incident(2)))).toBe('')
  })
  it('names what opened, also when it takes the place of another', () => {
    expect(news(heardOf(overview(0)), overview(2, incident(7)))).toBe('2 new critical alerts. #7 T7. All else is well.')
    expect(news(heardOf(overview(1, incident(1))), overview(1, incident(2)))).toBe('1 new critical alert. #2 T2. All else is well.')
  })
  it('does not read out a storm, nor what somebody has already, nor what is not critical', () => {
    expect(news(heardOf(overview(0)), overview(9, ...[1, 2, 3, 4, 5].map((n) => incident(n))))).toContain('#3 T3, and 2 more incidents.')
    expect(news(heardOf(overview(0)), overview(0, incident(1, { severity: 'warning' }), incident(2, { state: 'acknowledged' })))).toBe('')
  })
})
