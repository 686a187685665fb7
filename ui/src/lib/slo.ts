// Objectives: how bad a burn rate is, in which words, and as a line over time.

import type { SloRow, SloRule } from './api'
import { duration, percent } from './format'
import type { Look } from './status'

/** Of the SRE workbook, for a budget of 30 days: 14.4 for an hour spends a fiftieth of it, 6 for six hours a twentieth. */
export const FAST = 14.4
export const SLOW = 6

export function sloLook(slo: SloRow): Look {
  if (slo.budget_left === null && slo.burn['1h'] === null) return 'unknown'
  if ((slo.burn['1h'] ?? 0) >= FAST || (slo.budget_left ?? 1) <= 0) return 'critical'
  if ((slo.burn['6h'] ?? 0) >= SLOW || (slo.burn['3d'] ?? 0) >= 1) return 'warning'
  return 'ok'
}

const RANK: Look[] = ['critical', 'warning', 'unknown', 'ok']

export function worstSlo(slos: SloRow[]): SloRow | undefined {
  return [...slos].sort((a, b) => RANK.indexOf(sloLook(a)) - RANK.indexOf(sloLook(b)) || (b.burn['1h'] ?? 0) - (a.burn['1h'] ?? 0) || (a.budget_left ?? 1) - (b.budget_left ?? 1))[0]
}

/** "budget 41 % left", "2.5 times the budget spent". */
export function budgetText(slo: SloRow): string {
  if (slo.budget_left === null) return slo.pending ? 'is being measured' : 'nothing is known yet'
  if (slo.budget_left > 0) return `budget ${percent(slo.budget_left, 0)} left`
  const times = Number((1 - slo.budget_left).toFixed(1))
  return times <= 1 ? 'budget spent' : `${times} times the budget spent`
}

/** What happens at the pace of the last six hours. */
export function outlook(slo: SloRow): string {
  if (slo.budget_left === null || slo.gone_in_ms === null) return ''
  return slo.gone_in_ms === 0 ? '' : `gone in ${duration(slo.gone_in_ms)} at the pace of the last six hours`
}

/** 99.9 %, never rounded up to 100. */
export const targetText = (target: number) => `${Number((target * 100).toFixed(4))} %`

/** Burn rate over time, each point over the hour before it. */
export function burnQuery(slo: SloRow, window = '1h'): string {
  const good = slo.query.includes('$window') ? slo.query.replaceAll('$window', window) : `avg_over_time((${slo.query})[${window}:5m])`
  return `(1 - (${good})) / ${Number((1 - slo.target).toPrecision(12))}`
}

/** Where a rule that watches an objective is shown. */
export const rulePath = (rule: SloRule) => `/alerts/rules/${encodeURIComponent(rule.group)}/${encodeURIComponent(rule.rule)}`

const PACES: Record<string, string> = { '1h': `Rule for ${FAST}× over 1h`, '6h': `Rule for ${SLOW}× over 6h`, '3d': 'Rule for 1× over 3d' }
export const paceText = (window: string) => PACES[window] ?? window

/** "0.001 of 30 days" as time that may fail. */
export const allowed = (slo: SloRow) => duration((1 - slo.target) * slo.window_ms)

export const WINDOWS = [
  { id: '7d', label: '7 days' },
  { id: '30d', label: '30 days' },
  { id: '90d', label: '90 days' },
]
