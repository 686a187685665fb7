// A panel to be shown to people who are not signed in: what is sent to be signed, and what is pasted elsewhere.

import type { BoardPanel } from './board'
import type { Range } from './timerange'

/** What the dialog is asked to share: a panel of a dashboard, or expressions of Explore. */
export interface Shareable { title: string; queries: { name: string; query: string }[]; unit: string; kind: 'lines' | 'stat' | 'table'; limits: number[]; anchor?: string }
export interface Shared { picture: string; page: string; expires_ms: number; framed_by: string[] }

export const LIFETIMES: { days: number; label: string }[] = [
  { days: 1, label: 'a day' },
  { days: 7, label: 'a week' },
  { days: 30, label: '30 days' },
  { days: 90, label: '90 days' },
  { days: 365, label: 'a year' },
]

/** Kinds of panels that are drawn without a browser, and as what; the others are not offered. */
const DRAWN: Record<string, Shareable['kind']> = { timeseries: 'lines', stat: 'stat', table: 'table', bars: 'table', honeycomb: 'table' }

/** null = a panel of this kind cannot be drawn by the server. */
export function shareable(panel: BoardPanel, queries: { name: string; query: string }[], anchor: string): Shareable | null {
  const kind = DRAWN[panel.kind]
  if (!kind || !queries.length || queries.length > 8) return null
  const limits = [panel.thresholds.warning, panel.thresholds.critical].filter((one): one is number => one !== null)
  return { title: panel.title, queries: queries.map(({ name, query }) => ({ name, query })), unit: panel.unit, kind, limits, anchor }
}

export function toSign(one: Shareable, range: Range, zone: string, days: number): Record<string, unknown> {
  const { title, queries, unit, kind, limits } = one
  return { title: title.slice(0, 200), queries, unit, kind, limits, from: range.from, to: range.to, tz: zone, days }
}

const escaped = (text: string) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)

/** For a wiki that takes HTML; `theme` of the page around it is not known to us. */
export function frameOf(shared: Shared, title: string): string {
  return `<iframe src="${escaped(shared.page)}" width="720" height="400" title="${escaped(title)}" loading="lazy" style="border:0"></iframe>`
}

export function markdownOf(shared: Shared, title: string, link: string): string {
  const safe = title.replace(/[[\]\\]/g, ' ')
  return `[![${safe}](${shared.picture})](${link})`
}

/** The name of a panel in addresses: `panel-3`. */
export const panelAnchor = (number: number): string => `panel-${number}`
