// Alerts in tabs and groups.

import type { AlertRow } from './api'
import { operatorOf, splitComparison } from './expression'
import { inUnit } from './format'
import { matchersOf, type Matcher } from './matchers'
import { unitOf } from './prom'
import { csv } from './reports'

/** A clearing alert still fires until its quiet time has passed. */
export function tabOf(alert: AlertRow): string {
  return alert.state === 'clearing' ? 'firing' : alert.state
}

export interface Group { name: string; count: number; members: AlertRow[] }

/** In the order of the first (worst) alert of each group; alerts without the label come under "no <label>". */
export function groupBy(alerts: AlertRow[], label: string): Group[] {
  const groups = new Map<string, AlertRow[]>()
  for (const alert of alerts) {
    const name = alert.labels[label] || `no ${label}`
    const members = groups.get(name)
    if (members) members.push(alert)
    else groups.set(name, [alert])
  }
  return [...groups].map(([name, members]) => ({ name, count: members.length, members }))
}

/** Labels worth grouping by, most used first. */
export function labelNames(alerts: AlertRow[]): string[] {
  const counts = new Map<string, number>()
  for (const alert of alerts) for (const name of Object.keys(alert.labels)) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([name]) => name)
}

/** The incidents that these alerts belong to, each once: acknowledging is about incidents, never about label sets. */
export function incidentsOf(alerts: AlertRow[]): number[] {
  const numbers = alerts.filter((alert) => alert.incident > 0 && alert.state !== 'resolved').map((alert) => alert.incident)
  return [...new Set(numbers)].sort((a, b) => a - b)
}

/** Longer alternatives are left out: the server refuses matchers above 4096 characters. */
const LONGEST = 2000

/** One silence for all of them: each label that all have, with the values it has among them. What else that covers is shown before it is made. */
export function matchersOfAll(alerts: AlertRow[]): Matcher[] {
  const [first, ...others] = alerts
  if (!first) return []
  return matchersOf(first.labels).flatMap(({ name }) => {
    if (others.some((one) => !one.labels[name])) return []
    const values = [...new Set(alerts.map((one) => one.labels[name] ?? ''))]
    const value = values.length === 1 ? (values[0] ?? '') : values.map(literally).join('|')
    return value.length > LONGEST ? [] : [{ name, value, isRegex: values.length > 1, isEqual: true }]
  })
}

/** A value as a regular expression that takes nothing else. */
function literally(value: string): string {
  return value.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
}

/** "7.2 s" and "> 5 s". Of a check only whether it fails is known, and that is why its alert is there: nothing to compare. */
export function valueAndLimit(alert: Pick<AlertRow, 'value' | 'labels' | 'rule'>): { value: string; limit: string } {
  if (alert.value === null || alert.labels.check) return { value: '', limit: '' }
  const { value, limit } = splitComparison(alert.rule.expr)
  const unit = unitOf(value)
  return { value: inUnit(alert.value, unit), limit: limit === null ? '' : `${operatorOf(alert.rule.expr)} ${inUnit(limit, unit).replace(/\.0+(?= %$)/, '')}` }
}

const COLUMNS = ['name', 'severity', 'state', 'starts', 'ends', 'value', 'incident', 'acknowledged by', 'told', 'labels'] as const

/** For a spreadsheet. */
export function alertsCsv(alerts: AlertRow[]): string {
  const when = (t_ms: number) => (t_ms ? new Date(t_ms).toISOString() : '')
  const labels = (one: AlertRow) => Object.entries(one.labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(' ')
  return csv([[...COLUMNS], ...alerts.map((one) => [one.name, one.severity, one.state, when(one.starts_at_ms), when(one.ends_at_ms), one.value, one.incident || null, one.acknowledged_by ?? '', one.explanation, labels(one)])])
}
