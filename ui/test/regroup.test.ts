import { describe, expect, it } from 'vitest'
import type { AlertRow, IncidentRow } from '../src/lib/api'
import { movable, splitFault, targets } from '../src/lib/regroup'

const alert = (fingerprint: string, more: Partial<AlertRow> = {}) => ({ fingerprint, state: 'firing', starts_at_ms: 1, ...more }) as AlertRow
const incident = (number: number, more: Partial<IncidentRow> = {}) => ({ number, title: `incident ${number}`, service: '', severity: 'warning', created_ms: number, ...more }) as IncidentRow

describe('a split', () => {
  const [a, b, over] = [alert('a'), alert('b'), alert('c', { state: 'resolved' })]
  it('takes some alerts, at least one of which fires', () => {
    expect(splitFault([a, b], new Set())).toContain('Choose')
    expect(splitFault([a, b], new Set(['a', 'b']))).toContain('at least one')
    expect(splitFault([a, over], new Set(['c']))).toContain('ended')
    expect(splitFault([a, b, over], new Set(['a', 'c']))).toBe('')
    expect(splitFault([a, b], new Set(['gone']))).toContain('Choose')
  })
  it('offers an alert that came back once', () => {
    const again = alert('a', { starts_at_ms: 9 })
    expect(movable([a, b, again])).toEqual([again, b])
  })
})

describe('a merge', () => {
  const mine = { number: 3, service: 'shop' }
  const open = [incident(1), incident(2, { service: 'shop', title: 'slow' }), incident(3), incident(12, { title: 'pool exhausted' })]
  it('never offers itself, and its own service first', () => {
    expect(targets(mine, open, '').map((one) => one.number)).toEqual([2, 1, 12])
  })
  it('finds by number, title and service', () => {
    expect(targets(mine, open, '#12').map((one) => one.number)).toEqual([12])
    expect(targets(mine, [...open, incident(9, { title: 'at least 12.5 %' })], '#12').map((one) => one.number)).toEqual([12])
    expect(targets(mine, open, '2').map((one) => one.number)).toEqual([2, 12])
    expect(targets(mine, open, 'POOL').map((one) => one.number)).toEqual([12])
    expect(targets(mine, open, 'nothing')).toEqual([])
  })
})
