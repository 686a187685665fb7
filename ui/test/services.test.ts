import { describe, expect, it } from 'vitest'
import type { ServiceLine, SloRow } from '../src/lib/api'
import { apart, byFigure, figureRows, together } from '../src/lib/batch'
import type { PromSeries } from '../src/lib/prom'
import { median, row } from '../src/lib/daily'
import { checksOn, hostOf } from '../src/lib/hosts'
import { byService, periodOf, points, type CheckFigures } from '../src/lib/reports'
import { calls, figuresBy, saturation } from '../src/lib/red'
import { chosenColumns, columnsText, instanceLook, nextOrder, slosByService, sorted, USUAL } from '../src/lib/services'
import { budgetText, burnQuery, outlook, paceText, rulePath, sloLook, targetText } from '../src/lib/slo'

const line = (name: string, more: Partial<ServiceLine> = {}): ServiceLine => ({ name, state: 'ok', rate: null, error_ratio: null, p95_s: null, p50_s: null, p99_s: null, client_error_ratio: null, saturation: null, saturated: '', checks: {}, alerts: 0, trend: [], owner: '', tier: '', last_change: null, ...more }) as ServiceLine
const slo = (more: Partial<SloRow> = {}): SloRow => ({ name: 's', service: 'web', target: 0.999, window_ms: 30 * 86_400_000, query: '', budget_left: 0.5, burn: { '1h': 0.2, '6h': 0.2, '3d': 0.2 }, gone_in_ms: null, error: '', pending: false, value: 0.9995, value_before: null, owner: '', check: '', rules: [], ...more })

describe('columns of the services', () => {
  it('are the usual ones, those of the address in the order of the table, and three on a phone', () => {
    expect(chosenColumns([]).map((one) => one.id)).toEqual(USUAL)
    expect(chosenColumns(['p99', 'errors', 'nonsense']).map((one) => one.id)).toEqual(['errors', 'p99'])
    expect(chosenColumns([], true).map((one) => one.id)).toEqual(['errors', 'p95', 'rate'])
    expect(chosenColumns(['owner', 'p99', 'slo', 'rate'], true).map((one) => one.id)).toEqual(['owner', 'p99', 'slo'])
  })
  it('leave the address clean when they are the usual ones', () => {
    expect(columnsText([...USUAL].reverse())).toBeNull()
    expect(columnsText(['p99', 'rate'])).toBe('rate,p99')
    expect(columnsText([])).toBeNull()
  })
})

it('an instance is judged by its scrape and by the limits of the rules', () => {
  const limits = [{ value: 0.01, label: '', look: 'warning' as const }, { value: 0.05, label: '', look: 'critical' as const }]
  expect([instanceLook(1, 0.002, limits), instanceLook(1, 0.02, limits), instanceLook(undefined, 0.2, limits), instanceLook(0, undefined, limits), instanceLook(undefined, undefined, limits), instanceLook(1, 0.9, [])]).toEqual(['ok', 'warning', 'critical', 'critical', 'unknown', 'ok'])
})

describe('sorting', () => {
  const lines = [line('b', { p95_s: 2 }), line('a', { p95_s: null }), line('c', { p95_s: 5, owner: 'web' })]
  const names = (order: string) => sorted(lines, order, new Map()).map((one) => one.name).join('')
  it('puts what is not measured last, either way; names and words by their letters', () => {
    expect([names('-p95'), names('p95'), names('name'), names('-name'), names('owner')]).toEqual(['cba', 'bca', 'abc', 'cba', 'cba'])
    expect([names(''), names('nonsense')]).toEqual(['bac', 'bac'])
  })
  it('goes from the highest to the lowest and back to the worst first', () => {
    expect([nextOrder('', 'p95', true), nextOrder('-p95', 'p95', true), nextOrder('p95', 'p95', true)]).toEqual(['-p95', 'p95', null])
    expect([nextOrder('p95', 'name', false), nextOrder('name', 'name', false)]).toEqual(['name', '-name'])
  })
})

describe('objectives', () => {
  it('are critical when they burn fast or are spent, and a warning when they burn slowly', () => {
    expect(sloLook(slo())).toBe('ok')
    expect(sloLook(slo({ burn: { '1h': 20, '6h': 1, '3d': 0.1 } }))).toBe('critical')
    expect(sloLook(slo({ budget_left: -0.2 }))).toBe('critical')
    expect(sloLook(slo({ burn: { '1h': 2, '6h': 7, '3d': 0.1 } }))).toBe('warning')
    expect(sloLook(slo({ budget_left: null, burn: { '1h': null, '6h': null, '3d': null } }))).toBe('unknown')
  })
  it('say what is left, and never round a target up', () => {
    expect([budgetText(slo({ budget_left: 0.41 })), budgetText(slo({ budget_left: -1.5 })), budgetText(slo({ budget_left: null, pending: true }))]).toEqual(['budget 41 % left', '2.5 times the budget spent', 'is being measured'])
    expect([targetText(0.999), targetText(0.99999)]).toEqual(['99.9 %', '99.999 %'])
    expect(outlook(slo({ gone_in_ms: 7_200_000 }))).toContain('2h')
  })
  it('are drawn as a burn rate over an hour', () => {
    expect(burnQuery(slo({ query: 'good[$window]' }))).toBe('(1 - (good[1h])) / 0.001')
    expect(burnQuery(slo({ query: 'ratio' }))).toBe('(1 - (avg_over_time((ratio)[1h:5m]))) / 0.001')
  })
  it('lead to the rules that watch them', () => {
    expect(rulePath({ group: 'slos: a b, 3d', rule: 'ErrorBudgetBurn', window: '3d', severity: 'warning' })).toBe('/alerts/rules/slos%3A%20a%20b%2C%203d/ErrorBudgetBurn')
    expect([paceText('1h'), paceText('12h')]).toEqual(['Rule for 14.4× over 1h', '12h'])
  })
  it('of a service the worst one speaks', () => {
    const rows = [slo({ name: 'calm' }), slo({ name: 'hot', burn: { '1h': 30, '6h': 1, '3d': 1 } }), slo({ name: 'nobody', service: '' })]
    expect([...slosByService(rows)].map(([service, one]) => [service, one.name])).toEqual([['web', 'hot']])
  })
})

describe('many figures in one request', () => {
  const two = [{ name: 'a$1', query: 'x' }, { name: 'b', query: 'y' }]
  it('are marked by a label that the answer is taken apart by', () => {
    expect(together(two)).toBe('label_replace(x, "figure", "a$$1", "figure", "") or label_replace(y, "figure", "b", "figure", "")')
    expect(together([{ name: 'only', query: 'x' }])).toBe('x')
    const series: PromSeries[] = [{ metric: { figure: 'b', le: '1' } }, { metric: { figure: 'a$1' } }]
    expect(apart(two, series)).toEqual([[{ metric: {} }], [{ metric: { le: '1' } }]])
  })
  it('become rows, the highest first, those without the figure last', () => {
    const series = ['/a 1', '/b 3', '/c NaN'].map((text) => ({ metric: { figure: 'p95', http_route: text.split(' ')[0] ?? '' }, value: [0, text.split(' ')[1] ?? ''] as [number, string] }))
    const rows = figureRows([...series, { metric: { figure: 'rate', http_route: '/c' }, value: [0, '7'] }], ['http_route'])
    expect(byFigure(rows, '-p95').map((row) => row.labels.http_route)).toEqual(['/b', '/a', '/c'])
    expect(byFigure(rows, 'p95').map((row) => row.labels.http_route)).toEqual(['/a', '/b', '/c'])
    expect(rows[2]?.values).toEqual({ rate: 7 })
  })
  it('each name stands once', () => {
    for (const batch of [figuresBy('web', 'http_route'), saturation('web'), calls('web')]) expect(new Set(batch.map((one) => one.name)).size).toBe(batch.length)
  })
})

describe('a host', () => {
  it('is found in whatever a check looks at', () => {
    expect(['https://shop.example:8443/health?x=1', 'db-1:5432', 'postgres://ana:secret@db-1:5432/shop', '[::1]:80', 'db-1', 'cron'].map(hostOf)).toEqual(['shop.example', 'db-1', 'db-1', '::1', 'db-1', 'cron'])
  })
  it('has the checks that say so, and those whose target it is', () => {
    const check = (id: string, target: string, labels: Record<string, string> = {}) => ({ id, target, labels })
    const all = [check('url', 'https://web-1/x'), check('port', 'web-1:22'), check('label', 'cron', { instance: 'web-1:9100' }), check('other', 'web-11:22'), check('nothing', '')]
    expect(checksOn('web-1:9100', all).map((one) => one.id)).toEqual(['url', 'port', 'label'])
    expect(checksOn('', all)).toEqual([])
  })
})

describe('reports', () => {
  it('take any period up to a year', () => {
    expect([periodOf('7d').label, periodOf('14d').label, periodOf('1y').label, periodOf('400d').id, periodOf('soon').id, periodOf('0d').id]).toEqual(['7 days', '14 days', '1 year', '30d', '30d', '30d'])
  })
  it('a service is as available as its worst check, of what is known', () => {
    const check = (service: string, uptime: number | null, outages = 0) => ({ id: 'c', name: 'c', service, uptime, uptime_before: uptime, down_ms: outages * 1000, outages }) as CheckFigures
    const rows = byService([check('web', 1), check('web', 0.9, 2), check('new', null), check('', 0.1), check('db', 0.99, 1)])
    expect(rows.map((one) => [one.service, one.uptime, one.outages])).toEqual([['web', 0.9, 2], ['db', 0.99, 1], ['new', null, 0]])
    expect([points(0.999, 0.998)?.word, points(0.99, 0.999)?.better, points(1, 1)?.better, points(null, 1)]).toEqual(['+0.10', false, null, null])
  })
  it('days fall into the period and the one before; the middle one stands for them', () => {
    const values = [5, 6, 7, 8].map((back) => [1_000_000 - (back - 5) * 86_400, String(back)] as [number, string])
    expect(row({ metric: {}, values }, 1_000_000, 2)).toEqual({ labels: {}, now: [6, 5], before: [8, 7] })
    expect([median([3, null, 1, 2]), median([4, 1]), median([null])]).toEqual([2, 2.5, null])
  })
})
