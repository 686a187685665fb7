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
  people: { who: string; pages: number; weeks: { start_ms: number; pages: number }[] }[]
  rules: RuleFigures[]
}
export interface RuleFigures { rule: string; incidents: number; pages: number; real: number; noise: number; duplicate: number; precision: number | null; quick: number; never_acknowledged: number }

const DAY_MS = 86_400_000
export const PERIODS = [
  { id: '7d', label: '7 days', ms: 7 * DAY_MS },
  { id: '30d', label: '30 days', ms: 30 * DAY_MS },
  { id: '90d', label: '90 days', ms: 90 * DAY_MS },
]

export function periodOf(id: string) {
  return PERIODS.find((one) => one.id === id) ?? { id: '30d', label: '30 days', ms: 30 * DAY_MS }
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
