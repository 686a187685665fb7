// The home screen's own logic: by what problems are grouped, which rows a scope leaves, whose services are well.

import type { CheckRow, HostRow, Labels, Scoped, ServiceRow } from './api'
import { hostOf } from './hosts'
import { matches, type Matcher } from './matchers'

export type Group = '' | 'service' | 'host' | 'check'
export const GROUPS: { id: Group; label: string }[] = [
  { id: '', label: 'All' },
  { id: 'service', label: 'Services' },
  { id: 'host', label: 'Hosts' },
  { id: 'check', label: 'Checks' },
]
export const groupOf = (text: string): Group => GROUPS.find((one) => one.id === text)?.id ?? ''

/** Does the scope leave a row that has only these labels? Matchers about others say nothing of it. */
export function inScope(scope: Matcher[], labels: Labels): boolean {
  return matches(scope.filter((one) => one.name in labels), labels)
}

/** "hosts (no label env)": the parts of a page that the scope does not reach, and why. */
export function wide(scope: Scoped): string[] {
  return Object.entries(scope.unscoped).map(([part, labels]) => `${part} (no label ${labels.join(', ')})`)
}

export interface HostProblem { host: HostRow; look: 'critical' | 'warning'; figure: string; value: number }
/** As the meters of a host's card have them. */
const WARNING = 0.85
const CRITICAL = 0.95

/** Hosts with a figure beyond its limit, the worst first. */
export function hostProblems(hosts: HostRow[]): HostProblem[] {
  return hosts
    .map((host): HostProblem => {
      const figures: [string, number | null][] = [['CPU', host.cpu], ['memory', host.memory], [`disk ${host.disk_mount}`, host.disk_worst], ['inodes', host.inodes_worst]]
      const [figure, value] = figures.reduce<[string, number]>((worst, [name, share]) => ((share ?? 0) > worst[1] ? [name, share ?? 0] : worst), ['', 0])
      return { host, figure, value, look: value >= CRITICAL ? 'critical' : 'warning' }
    })
    .filter((one) => one.value >= WARNING)
    .sort((a, b) => b.value - a.value)
}

/** What stands in the list: a check of a service that stands there itself is counted in its row when services are asked for. */
export function checksOf(group: Group, checks: CheckRow[], services: ServiceRow[]): CheckRow[] {
  if (group !== 'service') return checks
  const shown = new Set(services.map((one) => one.name))
  return checks.filter((check) => !shown.has(check.labels.service ?? ''))
}

/** Checks under the hosts that they look at, those of the most problems first. */
export function byHost(checks: CheckRow[]): { host: string; checks: CheckRow[] }[] {
  const groups = new Map<string, CheckRow[]>()
  for (const check of checks) {
    const host = check.labels.instance ?? check.labels.host ?? hostOf(check.target)
    groups.set(host, [...(groups.get(host) ?? []), check])
  }
  return [...groups].map(([host, found]) => ({ host, checks: found })).sort((a, b) => b.checks.length - a.checks.length || a.host.localeCompare(b.host))
}

/** `payments 12/12`: whose services are well, of how many; nothing where nobody is named, or only one. */
export function byOwner(services: ServiceRow[]): { owner: string; well: number; all: number }[] {
  const owners = [...new Set(services.map((one) => one.owner).filter(Boolean))].sort()
  if (owners.length < 2) return []
  return owners.map((owner) => {
    const theirs = services.filter((one) => one.owner === owner)
    return { owner, well: theirs.filter((one) => one.state === 'ok').length, all: theirs.length }
  })
}
