import { describe, expect, it } from 'vitest'
import type { AlertRow, IncidentRow } from '../src/lib/api'
import { groupBy, labelNames, tabOf } from '../src/lib/alerts'
import { incidentWord, means, open } from '../src/lib/incident'
import { alertLook, incidentLook, severityLook, worstFirst, type Look } from '../src/lib/status'
import { describe as words, runs } from '../src/lib/strip'
import { windowOf } from '../src/lib/window'

const alert = (more: Partial<AlertRow>): AlertRow => ({ state: 'firing', severity: 'critical', labels: {}, suppressed_by: [], ...more }) as AlertRow
const incident = (more: Partial<IncidentRow>): IncidentRow => ({ state: 'triggered', severity: 'critical', created_ms: 0, acknowledged_ms: 0, resolved_ms: 0, acknowledged_by: '', resolved_by: '', ...more }) as IncidentRow
const SEVERITIES = ['info', 'warning', 'critical']

describe('looks', () => {
  it('follow the operator’s own order of severities', () => {
    expect(severityLook('p1', ['p3', 'p2', 'p1'])).toBe('critical')
    expect(severityLook('p2', ['p3', 'p2', 'p1'])).toBe('warning')
    expect(severityLook('p3', ['p3', 'p2', 'p1'])).toBe('info')
    expect(severityLook('unheard-of', SEVERITIES)).toBe('warning')
  })
  it('show a silenced alert as silenced, however severe', () => {
    expect(alertLook(alert({ suppressed_by: [{ kind: 'silenced', by: 'x' }] }), SEVERITIES)).toBe('silenced')
    expect(alertLook(alert({ suppressed_by: [{ kind: 'maintenance', by: 'x' }] }), SEVERITIES)).toBe('maintenance')
    expect(alertLook(alert({ state: 'pending' }), SEVERITIES)).toBe('pending')
    expect(alertLook(alert({ state: 'resolved' }), SEVERITIES)).toBe('ok')
    expect(incidentLook(incident({ state: 'suppressed' }), SEVERITIES)).toBe('silenced')
  })
  it('put the worst first, then the longest; what is well keeps its order', () => {
    const rows: [string, Look, number][] = [['z', 'ok', 9], ['new', 'critical', 5], ['old', 'critical', 1], ['a', 'ok', 3], ['w', 'warning', 0]]
    expect(worstFirst(rows, (row) => row[1], (row) => row[2]).map((row) => row[0])).toEqual(['old', 'new', 'w', 'z', 'a'])
  })
})

describe('alerts in groups', () => {
  it('keep the order of their worst member; without the label they stand apart', () => {
    const groups = groupBy([alert({ labels: { service: 'b' } }), alert({ labels: {} }), alert({ labels: { service: 'b' } })], 'service')
    expect(groups.map((group) => [group.name, group.count])).toEqual([['b', 2], ['no service', 1]])
  })
  it('count a clearing alert as firing', () => expect(tabOf(alert({ state: 'clearing' }))).toBe('firing'))
  it('offer the labels in use', () => expect(labelNames([alert({ labels: { a: '1', b: '2' } }), alert({ labels: { b: '3' } })])).toEqual(['b', 'a']))
})

describe('incidents', () => {
  it('say who has them', () => {
    expect(incidentWord(incident({}))).toBe('nobody has it yet')
    expect(incidentWord(incident({ state: 'acknowledged', acknowledged_by: 'ana' }))).toBe('ana has it')
    expect(incidentWord(incident({ state: 'resolved' }))).toBe('resolved by itself')
    expect(open(incident({ state: 'snoozed' }))).toBe(true)
  })
  it('have mean times only over those that were acknowledged or resolved', () => {
    expect(means([])).toBeNull()
    expect(means([incident({ created_ms: 1000, acknowledged_ms: 3000 }), incident({ created_ms: 1000, resolved_ms: 11_000 })])).toEqual({ acknowledge_ms: 2000, resolve_ms: 10_000 })
  })
})

describe('strips', () => {
  it('fold equal slices', () => expect(runs('uuddg')).toEqual([{ start: 0, length: 2, look: 'ok' }, { start: 2, length: 2, look: 'critical' }, { start: 4, length: 1, look: 'warning' }]))
  it('say in words what they draw', () => {
    expect(words('u'.repeat(44) + 'dddg', 30)).toBe('last 24 h: down about 1.5 h, degraded about 30 min')
    expect(words('u'.repeat(48), 30)).toBe('last 24 h: no fault')
    expect(words('-'.repeat(48), 30)).toBe('last 24 h: no data')
    expect(words('0'.repeat(48), 30, 'fired')).toBe('last 24 h: did not fire')
  })
})

describe('the window of a long list', () => {
  it('is everything while the list is short', () => expect(windowOf(100, 50, 4000, 900)).toEqual({ start: 0, end: 100, before: 0, after: 0 }))
  it('is what is in sight and half a screen more, with room kept for the rest', () => {
    const seen = windowOf(2000, 50, 10_000, 1000)
    expect(seen).toEqual({ start: 190, end: 230, before: 9500, after: 88_500 })
    expect(seen.before + seen.after + (seen.end - seen.start) * 50).toBe(100_000)
  })
  it('stays inside when scrolled past either end', () => {
    expect(windowOf(200, 50, -500, 800).start).toBe(0)
    expect(windowOf(200, 50, 99_999, 800)).toMatchObject({ end: 200, after: 0 })
  })
})
