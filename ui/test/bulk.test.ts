import { describe, expect, it } from 'vitest'
import { alertsCsv, matchersOfAll } from '../src/lib/alerts'
import type { AlertRow } from '../src/lib/api'
import { matches, printMatcher } from '../src/lib/matchers'

const alert = (labels: Record<string, string>, more: Partial<AlertRow> = {}) => ({ name: labels.alertname, severity: 'critical', state: 'firing', labels: { severity: 'critical', ...labels }, starts_at_ms: 0, ends_at_ms: 0, value: null, incident: 0, explanation: '', ...more }) as unknown as AlertRow

describe('one silence for several alerts', () => {
  const chosen = [alert({ alertname: 'Disk (root)', instance: 'a.b:9100', team: 'web' }), alert({ alertname: 'Down', instance: 'c:9100', team: 'web', path: '/x' })]

  it('takes every label that all have, with the values it has among them', () => {
    expect(matchersOfAll(chosen).map(printMatcher)).toEqual([String.raw`alertname=~"Disk \\(root\\)|Down"`, String.raw`instance=~"a\\.b:9100|c:9100"`, 'team="web"'])
  })
  it('covers all of them and not their neighbours', () => {
    const made = matchersOfAll(chosen)
    for (const one of chosen) expect(matches(made, one.labels)).toBe(true)
    expect(matches(made, { alertname: 'Disk (root)', instance: 'aXb:9100', team: 'web' })).toBe(false)
    expect(matches(made, { alertname: 'Down', instance: 'd:9100', team: 'web' })).toBe(false)
  })
  it('of one is that one; of none is none; what would be too long is left out', () => {
    expect(matchersOfAll([alert({ alertname: 'Down', team: 'web' })]).map(printMatcher)).toEqual(['alertname="Down"', 'team="web"'])
    expect(matchersOfAll([])).toEqual([])
    const many = Array.from({ length: 300 }, (_, i) => alert({ alertname: 'Down', instance: `host-${i}.example:9100` }))
    expect(matchersOfAll(many).map(printMatcher)).toEqual(['alertname="Down"'])
  })
})

it('a table for a spreadsheet runs nothing and loses nothing', () => {
  const text = alertsCsv([alert({ alertname: '=cmd()', note: 'a "b", c' }, { starts_at_ms: 1_000, value: -2.5, incident: 7, acknowledged_by: 'ana' })])
  const [head, line] = text.split('\r\n')
  expect(head).toBe('name,severity,state,starts,ends,value,incident,acknowledged by,told,labels')
  expect(line).toMatch(/^'=cmd\(\),critical,firing,1970-01-01T00:00:01\.000Z,,-2\.5,7,ana,,"/)
  expect(line).toContain(String.raw`note=""a \""b\"", c""`)
})
