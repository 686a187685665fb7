// Dashboards: what the server declares, and how variables, legends, limits and heat-maps are made of it.

import type { Labels } from './api'
import type { Fill, Threshold } from './chart'
import { inUnit } from './format'
import { columns, seriesName, type Columns, type PromSeries } from './prom'

export type Kind = 'timeseries' | 'stat' | 'table' | 'bars' | 'heatmap' | 'honeycomb' | 'timeline' | 'strip' | 'calendar' | 'text'
export interface Limits { warning: number | null; critical: number | null; below: boolean }
export interface BoardPanel { title: string; kind: Kind; unit: string; description: string; queries: { name: string; query: string }[]; text: string; width: number; thresholds: Limits; fill?: Fill; full?: number | null }
export interface BoardVariable { name: string; of: string; title: string }
export interface Board { name: string; title: string; description: string; variables: BoardVariable[]; sections: { title: string; panels: BoardPanel[] }[]; range: string; source?: string; etag?: string }
export interface BoardItem { name: string; title: string; description: string; panels: number; source: string }
export type Chosen = Record<string, string[]>
export type Level = 'ok' | 'warning' | 'critical' | 'none'

/** A rate needs four scrapes; we do not know the interval of each target, 15 s is the usual one. */
const SHORTEST_RATE_S = 60

/** `$name` -> the chosen values as a regular expression inside a PromQL string; nothing chosen = everything. */
export function filled(query: string, chosen: Chosen, step_s: number): string {
  const text = query.replaceAll('$__rate_interval', `${Math.max(SHORTEST_RATE_S, 4 * step_s)}s`).replaceAll('$__interval', `${step_s}s`)
  // Longer names first: `$job` must not eat the beginning of `$job_name`.
  const names = Object.keys(chosen).sort((a, b) => b.length - a.length)
  return names.reduce((sum, name) => sum.replaceAll(`$${name}`, pattern(chosen[name] ?? [])), text)
}

function pattern(values: string[]): string {
  if (values.length === 0) return '.*'
  const escaped = values.map((value) => value.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')).join('|')
  return JSON.stringify(values.length > 1 ? `(${escaped})` : escaped).slice(1, -1)
}

/** `{{label}}` filled in; what is left when labels are missing, else the labels themselves. */
export function legend(template: string, labels: Labels): string {
  const text = template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_all, name: string) => labels[name] ?? '').replace(/\s+/g, ' ').trim()
  return text || seriesName(labels)
}

export interface Row { name: string; labels: Labels; value: number; level: Level }

/** Instant answers as rows: value, name, and how bad it is. Values that are no number come last. */
export function boardRows(answers: { name: string; series: PromSeries[] }[], limits: Limits): Row[] {
  const rows = answers.flatMap((answer) => answer.series.map((one) => ({ name: legend(answer.name, one.metric), labels: one.metric, value: Number(one.value?.[1] ?? NaN), level: level(Number(one.value?.[1] ?? NaN), limits) })))
  const rank: Record<Level, number> = { critical: 0, warning: 1, ok: 2, none: 3 }
  const sign = limits.below ? 1 : -1
  return rows.sort((a, b) => rank[a.level] - rank[b.level] || Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value)) || sign * (a.value - b.value) || a.name.localeCompare(b.name))
}

export function level(value: number, limits: Limits): Level {
  if (Number.isNaN(value)) return 'none'
  const beyond = (limit: number | null) => limit !== null && (limits.below ? value <= limit : value >= limit)
  return beyond(limits.critical) ? 'critical' : beyond(limits.warning) ? 'warning' : 'ok'
}

export function limitLines(limits: Limits, unit: string): Threshold[] {
  const lines: Threshold[] = []
  if (limits.warning !== null) lines.push({ value: limits.warning, label: `warning ${inUnit(limits.warning, unit)}`, look: 'warning' })
  if (limits.critical !== null) lines.push({ value: limits.critical, label: `critical ${inUnit(limits.critical, unit)}`, look: 'critical' })
  return lines
}

export interface Heat { t_s: number[]; rows: { name: string; values: (number | null)[] }[]; most: number; hidden: number }
const MOST_ROWS = 60

/** A heat-map from a range answer: the buckets of a histogram made uncumulative, or each series as a row. */
export function heat(series: PromSeries[], template: string, unit: string, start_s: number, end_s: number, step_s: number): Heat {
  const all = columns(series, start_s, end_s, step_s, Infinity)
  const buckets = all.lines.length > 0 && all.lines.every((line) => line.labels.le !== undefined)
  const rows = buckets ? uncumulated(all, unit) : all.lines.map((line) => ({ name: legend(template, line.labels), values: line.values })).sort((a, b) => a.name.localeCompare(b.name))
  const shown = buckets ? trimmed(rows) : rows.slice(0, MOST_ROWS)
  let most = 0
  for (const row of shown) for (const value of row.values) if (value !== null && value > most) most = value
  return { t_s: all.t_s, rows: shown, most, hidden: buckets ? 0 : rows.length - shown.length }
}

function uncumulated(all: Columns, unit: string): Heat['rows'] {
  const lines = [...all.lines].sort((a, b) => bound(a.labels.le) - bound(b.labels.le))
  return lines.map((line, index) => ({
    name: bound(line.labels.le) === Infinity ? 'more' : `≤ ${inUnit(bound(line.labels.le), unit)}`,
    values: line.values.map((value, at) => (value === null ? null : Math.max(0, value - (index > 0 ? (lines[index - 1]?.values[at] ?? 0) : 0)))),
  }))
}

/** Buckets above and below which nothing ever falls only make the others small. */
function trimmed(rows: Heat['rows']): Heat['rows'] {
  const used = rows.map((row) => row.values.some((value) => (value ?? 0) > 0))
  const [first, last] = [used.indexOf(true), used.lastIndexOf(true)]
  return first < 0 ? rows : rows.slice(Math.max(0, first - 1), last + 2)
}

const bound = (text: string | undefined) => (text === '+Inf' || text === undefined ? Infinity : Number(text))
