// Time in addresses: `now-6h`, RFC 3339 or epoch ms; relative in the address bar, absolute in a copied link.

import { wallOf } from './zone.svelte'

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000 }

export interface Range { from: string; to: string }
export interface Span { from_ms: number; to_ms: number }

export const PRESETS: { label: string; from: string }[] = [
  { label: '15 minutes', from: 'now-15m' },
  { label: '1 hour', from: 'now-1h' },
  { label: '6 hours', from: 'now-6h' },
  { label: '24 hours', from: 'now-24h' },
  { label: '7 days', from: 'now-7d' },
  { label: '30 days', from: 'now-30d' },
  { label: '90 days', from: 'now-90d' },
]

/** Text of an address -> instant in ms, or null when it says nothing. */
export function instant(text: string, now_ms: number): number | null {
  const relative = /^now(?:([+-])(\d+(?:\.\d+)?)([smhdwy]))?$/.exec(text.trim())
  if (relative) {
    const [, sign, count, unit] = relative
    return sign ? now_ms + (sign === '-' ? -1 : 1) * Number(count) * (UNIT_MS[unit ?? 's'] ?? 0) : now_ms
  }
  if (/^\d{9,17}$/.test(text)) return Number(text)
  const parsed = Date.parse(text)
  return Number.isNaN(parsed) ? null : parsed
}

export function span(range: Range, now_ms: number): Span {
  const to_ms = instant(range.to, now_ms) ?? now_ms
  const from_ms = instant(range.from, now_ms) ?? to_ms - 3_600_000
  return from_ms < to_ms ? { from_ms, to_ms } : { from_ms: to_ms, to_ms: from_ms }
}

export function follows(range: Range): boolean {
  return range.to === 'now'
}

/** Move by half the span; a range that followed now stands still afterwards. */
export function shift(range: Range, direction: -1 | 1, now_ms: number): Range {
  const { from_ms, to_ms } = span(range, now_ms)
  const step = ((to_ms - from_ms) / 2) * direction
  if (to_ms + step >= now_ms) return { from: relativeFrom(to_ms - from_ms), to: 'now' }
  return fixed({ from_ms: from_ms + step, to_ms: to_ms + step })
}

export function zoom(range: Range, factor: number, now_ms: number): Range {
  const { from_ms, to_ms } = span(range, now_ms)
  const length = Math.max(60_000, (to_ms - from_ms) * factor)
  if (follows(range)) return { from: relativeFrom(length), to: 'now' }
  const middle = (from_ms + to_ms) / 2
  return fixed({ from_ms: middle - length / 2, to_ms: Math.min(now_ms, middle + length / 2) })
}

export function fixed({ from_ms, to_ms }: Span): Range {
  return { from: new Date(Math.round(from_ms)).toISOString(), to: new Date(Math.round(to_ms)).toISOString() }
}

function relativeFrom(length_ms: number): string {
  for (const unit of ['d', 'h', 'm'] as const) {
    const count = length_ms / (UNIT_MS[unit] ?? 1)
    if (count >= 1 && Number.isInteger(count)) return `now-${count}${unit}`
  }
  return `now-${Math.round(length_ms / 1000)}s`
}

/** Fixed times are written by the clock of `zone`. */
export function rangeLabel(range: Range, zone = 'UTC'): string {
  const preset = PRESETS.find((one) => one.from === range.from && range.to === 'now')
  if (preset) return `Last ${preset.label}`
  if (range.to === 'now' && range.from.startsWith('now-')) return `Last ${range.from.slice(4)}`
  const short = (text: string) => {
    const t_ms = text.startsWith('now') ? null : instant(text, 0)
    return t_ms === null ? text : wallOf(t_ms, zone).replace('T', ' ')
  }
  return `${short(range.from)} – ${short(range.to)}`
}

/** Query step in seconds for about `points` points: whole seconds, never below 5. */
export function stepFor({ from_ms, to_ms }: Span, points: number): number {
  const raw = (to_ms - from_ms) / 1000 / points
  return [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200].find((step) => step >= raw) ?? 86_400
}
