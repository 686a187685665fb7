// GET /self: what is there is shown; an older or newer Tocsin may say less or more. What is made of it for the figures on top.

import type { Problem } from './api'
import { bytes, duration, inUnit, number, percent } from './format'
import { deadManLook, type DeadMan } from './proof'
import type { Look } from './status'

export interface Disk { mount: string; total_bytes: number; free_bytes: number }
export interface SelfState {
  processes: { name: string; pid: number; started_ms: number; restarts: number; lag_ms: number; rss_bytes: number }[]
  collectors?: { name: string; state: string; last_ms: number; error: string }[]
  facts?: string[]
  problems?: string[]
  config: { files: string[]; problems: Problem[]; loaded_ms: number }
  counts?: { open: number; waiting: number; failed: number; sent?: number }
  disk?: Disk
  dead_man?: DeadMan
}

/** One question to our own metrics each; the answer is one number. */
export const OWN = {
  ingest: 'sum(rate(tocsin_samples_appended_total[2m]))',
  series: 'sum(tocsin_head_series)',
  late: 'sum(increase(tocsin_collect_scrapes_late_total[1h])) + sum(increase(tocsin_collect_scrapes_missed_total[1h]))',
  rules: 'max(tocsin_rule_evaluation_lag_seconds)',
  loop: 'max(tocsin_event_loop_lag_seconds)',
  page: 'histogram_quantile(0.99, sum by (le) (rate(tocsin_page_latency_seconds_bucket[1d])))',
}
export type Measured = Partial<Record<keyof typeof OWN, number>>

export interface Figure { name: string; text: string; note: string; look: Look }
const DAY_MS = 86_400_000

/** `slope`: bytes a second by which the free space of the store's disk grows; null = not known yet. */
export function fullIn(disk: Disk | undefined, slope: number | null): number | null {
  return disk && slope !== null && slope < 0 ? (disk.free_bytes / -slope) * 1000 : null
}

const limits = (value: number | undefined, warning: number, critical: number): Look => (value === undefined || Number.isNaN(value) ? 'unknown' : value >= critical ? 'critical' : value >= warning ? 'warning' : 'ok')

/** What somebody looks at first who doubts the watcher itself: each with a word, not only a number. */
export function figures(state: SelfState, seen: Measured, slope: number | null, now_ms: number): Figure[] {
  const { counts, disk, dead_man: dead } = state
  const tried = (counts?.sent ?? 0) + (counts?.failed ?? 0)
  const full_ms = fullIn(disk, slope)
  const free = disk ? disk.free_bytes / disk.total_bytes : undefined
  return [
    { name: 'Taken in', text: seen.ingest === undefined ? '–' : `${number(seen.ingest, 1)} samples/s`, note: 'over two minutes', look: seen.ingest === undefined ? 'unknown' : seen.ingest > 0 ? 'ok' : 'warning' },
    { name: 'Series in memory', text: number(seen.series, 0), note: '', look: 'ok' },
    { name: 'Scrapes late', text: number(seen.late === undefined ? undefined : Math.round(seen.late), 0), note: 'or left out, in an hour', look: limits(seen.late, 1, Infinity) },
    { name: 'Rules behind', text: inUnit(seen.rules, 's'), note: 'the last evaluation', look: limits(seen.rules, 5, 30) },
    { name: 'Event loop lag', text: inUnit(seen.loop, 's'), note: 'the worst process', look: limits(seen.loop, 0.25, 1) },
    { name: 'Waiting to be sent', text: counts ? String(counts.waiting) : '–', note: seen.page === undefined || Number.isNaN(seen.page) ? '' : `a page leaves in ${inUnit(seen.page, 's')}, p99`, look: limits(counts?.waiting, 20, 100) },
    { name: 'Delivered', text: tried ? percent((counts?.sent ?? 0) / tried) : '–', note: tried ? `of ${tried} in a day${counts?.failed ? `, ${counts.failed} failed` : ''}` : 'nothing was sent in a day', look: !tried ? 'unknown' : counts?.failed ? 'warning' : 'ok' },
    { name: "Dead man's switch", text: dead?.configured ? (dead.trouble ? 'failing' : dead.called_ms ? `called ${duration(now_ms - dead.called_ms)} ago` : 'not called yet') : 'none', note: dead?.trouble || (dead?.configured ? '' : 'if this machine dies, nobody hears of it'), look: dead?.configured ? deadManLook(dead, now_ms) : 'warning' },
    { name: 'Disk free', text: disk ? bytes(disk.free_bytes) : '–', note: diskWords(disk, full_ms, slope !== null), look: full_ms !== null && full_ms < 3 * DAY_MS ? 'critical' : full_ms !== null && full_ms < 14 * DAY_MS ? 'warning' : free === undefined ? 'unknown' : limits(1 - free, 0.9, 0.97) },
  ]
}

function diskWords(disk: Disk | undefined, full_ms: number | null, known: boolean): string {
  if (!disk) return ''
  const of = `of ${bytes(disk.total_bytes)} on ${disk.mount}`
  if (!known) return `${of}; its pace is known after an hour`
  if (full_ms === null) return `${of}; not filling up`
  return full_ms > 366 * DAY_MS ? `${of}; full in more than a year` : `${of}; full in ${duration(full_ms)} at this pace`
}
