// The table of services: which columns there are, which are shown where, and how rows are sorted. Kept in the address: `cols`, `sort`.

import type { ServiceLine, SloRow } from './api'
import type { Threshold } from './chart'
import { number, percent, seconds } from './format'
import { worstSlo } from './slo'

export interface Column { id: string; label: string; title?: string; num: boolean; value: (line: ServiceLine, slo: SloRow | undefined) => number | string | null; text: (line: ServiceLine, slo: SloRow | undefined) => string }

const figure = (id: string, label: string, value: (line: ServiceLine) => number | null, text: (value: number | null) => string, title = ''): Column => ({ id, label, title, num: true, value, text: (line) => text(value(line)) })
const word = (id: string, label: string, value: (line: ServiceLine) => string): Column => ({ id, label, num: false, value, text: value })

/** In the order of the table. Name and state stand before all of them, always. */
export const COLUMNS: Column[] = [
  { id: 'slo', label: 'SLO burn', title: 'how many times faster than allowed the error budget was spent over the last hour', num: true, value: (_line, slo) => slo?.burn['1h'] ?? null, text: (_line, slo) => (slo ? burnText(slo.burn['1h']) : '–') },
  figure('rate', 'Req/s', (line) => line.rate, (value) => number(value, 1)),
  figure('client', '4xx', (line) => line.client_error_ratio, percent, 'share of requests that were refused'),
  figure('errors', '5xx', (line) => line.error_ratio, percent, 'share of requests that failed'),
  figure('p50', 'p50', (line) => line.p50_s, seconds),
  figure('p95', 'p95', (line) => line.p95_s, seconds),
  figure('p99', 'p99', (line) => line.p99_s, seconds),
  { ...figure('saturation', 'Saturation', (line) => line.saturation, (value) => percent(value, 0), 'the fullest of what runs full'), text: (line) => (line.saturation === null ? '–' : `${percent(line.saturation, 0)} ${line.saturated}`) },
  figure('alerts', 'Alerts', (line) => line.alerts, (value) => (value ? String(value) : '–')),
  { id: 'change', label: 'Last change', num: false, value: (line) => line.last_change?.t_ms ?? null, text: (line) => line.last_change?.text ?? '–' },
  word('owner', 'Owner', (line) => line.owner),
  word('tier', 'Tier', (line) => line.tier),
  figure('checks', 'Checks up', (line) => checksUp(line), (value) => percent(value, 0)),
]
export const USUAL = ['slo', 'rate', 'client', 'errors', 'p50', 'p95', 'p99', 'saturation', 'alerts', 'change']
/** On a phone there is room for three. */
const FIRST = ['errors', 'p95', 'rate']
const ON_PHONES = 3

function checksUp(line: ServiceLine): number | null {
  const all = Object.values(line.checks).reduce((sum, count) => sum + count, 0)
  return all ? (line.checks.up ?? 0) / all : null
}

export function burnText(burn: number | null | undefined): string {
  if (burn === null || burn === undefined) return '–'
  return `${burn >= 100 ? Math.round(burn) : Number(burn.toFixed(1))}×`
}

/** `?cols=p95,errors` -> the columns, in the table's order; unknown names are left out, nothing left = the usual ones. */
export function chosenColumns(cols: string[], phone = false): Column[] {
  const wanted = COLUMNS.filter((one) => cols.includes(one.id))
  if (!wanted.length) return COLUMNS.filter((one) => (phone ? FIRST : USUAL).includes(one.id)).sort((a, b) => (phone ? FIRST.indexOf(a.id) - FIRST.indexOf(b.id) : 0))
  return phone ? [...wanted].sort((a, b) => cols.indexOf(a.id) - cols.indexOf(b.id)).slice(0, ON_PHONES) : wanted
}

/** What stands in the address for these columns; null = the usual ones. */
export function columnsText(ids: string[]): string | null {
  const text = COLUMNS.filter((one) => ids.includes(one.id)).map((one) => one.id).join(',')
  return text === USUAL.join(',') ? null : text || null
}

/** `-p95` = the highest first. What has no value comes last either way; without an order the rows stay as they are. */
export function sorted(lines: ServiceLine[], order: string, slos: Map<string, SloRow>): ServiceLine[] {
  const falling = order.startsWith('-')
  const id = order.replace(/^-/, '')
  const column = id === 'name' ? word('name', '', (line) => line.name) : COLUMNS.find((one) => one.id === id)
  if (!column) return lines
  const value = (line: ServiceLine) => {
    const found = column.value(line, slos.get(line.name))
    return found === '' || (typeof found === 'number' && Number.isNaN(found)) ? null : found
  }
  return lines
    .map((line) => ({ line, value: value(line) }))
    .sort((a, b) => {
      if (a.value === null || b.value === null) return Number(a.value === null) - Number(b.value === null)
      const by = typeof a.value === 'string' ? a.value.localeCompare(String(b.value)) : a.value - Number(b.value)
      return falling ? -by : by
    })
    .map((one) => one.line)
}

/** What a press on a heading asks for: figures begin with the highest, words with A; then the other way round; then the worst first again. */
export function nextOrder(order: string, id: string, num: boolean): string | null {
  const [first, second] = num ? [`-${id}`, id] : [id, `-${id}`]
  return order === first ? second : order === second ? null : first
}

export function ariaSort(order: string, id: string): 'ascending' | 'descending' | 'none' {
  return order === id ? 'ascending' : order === `-${id}` ? 'descending' : 'none'
}

/** One that is not scraped is critical; else what its errors are by the limits that rules set. */
export function instanceLook(up: number | undefined, errors: number | undefined, limits: Threshold[]): 'ok' | 'warning' | 'critical' | 'unknown' {
  if (up === 0) return 'critical'
  const beyond = limits.filter((one) => (errors ?? 0) > one.value).map((one) => one.look)
  if (beyond.includes('critical')) return 'critical'
  return beyond.length ? 'warning' : up === undefined && errors === undefined ? 'unknown' : 'ok'
}

/** Of several objectives of a service the one that burns fastest speaks for it. */
export function slosByService(slos: SloRow[]): Map<string, SloRow> {
  const found = new Map<string, SloRow>()
  for (const service of new Set(slos.map((one) => one.service))) {
    const worst = worstSlo(slos.filter((one) => one.service === service))
    if (service && worst) found.set(service, worst)
  }
  return found
}
