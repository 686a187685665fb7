// Alerts in tabs and groups.

import type { AlertRow } from './api'

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
