// What the reports page computes: periods, and how a figure compares with the period before.

export interface Analytics {
  from_ms: number
  to_ms: number
  incidents: number
  acknowledged: number
  resolved: number
  reopened: number
  mtta_ms: number | null
  median_tta_ms: number | null
  mttr_ms: number | null
  median_ttr_ms: number | null
  people: { who: string; pages: number; work: number; sleep: number; off: number; weeks: { start_ms: number; pages: number }[] }[]
  pages: number
  weeks: { start_ms: number; incidents: number; pages: number; noise: number; mtta_ms: number | null; mttr_ms: number | null }[]
  recurring: { title: string; severity: string; times: number; last: number; last_ms: number; last_fix: string }[]
  rules: RuleFigures[]
}
export interface RuleFigures { rule: string; incidents: number; pages: number; real: number; noise: number; duplicate: number; precision: number | null; quick: number; never_acknowledged: number }

const DAY_MS = 86_400_000
export const PERIODS = [
  { id: '7d', label: '7 days', ms: 7 * DAY_MS },
  { id: '30d', label: '30 days', ms: 30 * DAY_MS },
  { id: '90d', label: '90 days', ms: 90 * DAY_MS },
]

export interface Period { id: string; label: string; ms: number }
const UNITS: Record<string, [string, number]> = { d: ['day', 1], w: ['week', 7], y: ['year', 365] }

/** `?period=`: one of the usual ones, or any number of days, weeks or years up to one year; 30 days for anything else. */
export function periodOf(id: string): Period {
  const usual = PERIODS.find((one) => one.id === id)
  const [, count = '0', unit = ''] = /^([1-9]\d{0,2})([dwy])$/.exec(id) ?? []
  const [word, days] = UNITS[unit] ?? ['', 0]
  const ms = Number(count) * days * DAY_MS
  if (usual || !ms || ms > 365 * DAY_MS) return usual ?? { id: '30d', label: '30 days', ms: 30 * DAY_MS }
  return { id, label: `${count} ${word}${count === '1' ? '' : 's'}`, ms }
}

export const KINDS = [
  { id: '', label: 'Summary' },
  { id: 'uptime', label: 'Uptime' },
  { id: 'performance', label: 'Performance' },
  { id: 'alerts', label: 'Alerts' },
  { id: 'oncall', label: 'On-call' },
  { id: 'slo', label: 'SLO' },
]

/** GET /reports/preview: the same figures as in the report that is mailed. */
export interface Change { before: number | null; after: number | null; ratio: number | null; p: number; significant: boolean }
export interface CheckFigures { id: string; name: string; service: string; uptime: number | null; uptime_before: number | null; down_ms: number; outages: number; latency_high_s: number | null; latency: Change; latency_days: (number | null)[] }
export interface ReportAnswer { start_ms: number; end_ms: number; before_start_ms: number; summary: string[]; checks: CheckFigures[] }

export interface ServiceUptime { service: string; checks: number; uptime: number | null; uptime_before: number | null; down_ms: number; outages: number }

/** A service is as available as its worst check. The least available first; those of which nothing is known last. */
export function byService(checks: CheckFigures[]): ServiceUptime[] {
  const least = (values: (number | null)[]) => values.filter((one): one is number => one !== null).sort((a, b) => a - b)[0] ?? null
  return [...new Set(checks.map((one) => one.service))]
    .filter(Boolean)
    .map((service) => {
      const own = checks.filter((one) => one.service === service)
      return { service, checks: own.length, uptime: least(own.map((one) => one.uptime)), uptime_before: least(own.map((one) => one.uptime_before)), down_ms: Math.max(...own.map((one) => one.down_ms)), outages: own.reduce((sum, one) => sum + one.outages, 0) }
    })
    .sort((a, b) => (a.uptime ?? 2) - (b.uptime ?? 2) || a.service.localeCompare(b.service))
}

/** Percentage points that the uptime moved: "−0.12", "as before". */
export function points(now: number | null, before: number | null): Trend | null {
  if (now === null || before === null) return null
  const moved = (now - before) * 100
  if (Math.abs(moved) < 0.005) return { word: 'as before', better: null }
  return { word: `${moved > 0 ? '+' : '−'}${Math.abs(moved).toFixed(2)}`, better: moved > 0 }
}

export interface Trend { word: string; better: boolean | null }

/** Now against before, when less is better: "+40 %", "as before"; nothing to compare with = null. */
export function trend(now: number | null, before: number | null): Trend | null {
  if (now === null || before === null || before === 0) return null
  const change = now / before - 1
  if (Math.abs(change) < 0.05) return { word: 'as before', better: null }
  return { word: `${change > 0 ? '+' : '−'}${Math.abs(Math.round(change * 100))} %`, better: change < 0 }
}

/** What a rule costs people: pages that led to nothing. The noisiest first. */
export function noise(rule: RuleFigures): number {
  const judged = rule.real + rule.noise + rule.duplicate
  const wasted = judged ? (rule.noise + rule.duplicate) / judged : rule.incidents ? rule.never_acknowledged / rule.incidents : 0
  return wasted * Math.max(1, rule.pages)
}

/** Advice in a sentence, from the figures; nothing when there is nothing to say. */
export function advice(rule: RuleFigures): string {
  if (rule.precision !== null && rule.precision < 0.5) return 'more than half were judged noise: raise its limit or its `for`'
  if (rule.incidents >= 3 && rule.quick / rule.incidents > 0.5) return 'most ended by themselves within minutes: give it a longer `for`'
  if (rule.incidents >= 3 && rule.never_acknowledged === rule.incidents) return 'nobody ever acknowledged it: does it need to page?'
  return ''
}

export function csv(rows: (string | number | null)[][]): string {
  const cell = (value: string | number | null) => {
    const text = value === null ? '' : String(value)
    // A spreadsheet would run a text that begins with one of these.
    const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  return rows.map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n'
}
