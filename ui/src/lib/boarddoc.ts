// A dashboard as it is saved: the text a file would hold. What is shown and what is saved differ in how queries are written.

import type { Board, BoardPanel, Kind, Limits } from './board'
import type { Fill } from './chart'

export interface PanelDoc { title: string; kind?: Kind; unit?: string; description?: string; queries?: Record<string, string>; text?: string; width?: number; thresholds?: Partial<Limits>; fill?: Fill; full?: number }
export interface BoardDoc { name: string; title: string; description?: string; variables?: { name: string; of: string; title?: string }[]; sections: { title: string; panels: PanelDoc[] }[]; range?: string }

export const KINDS: { id: Kind; label: string }[] = [
  { id: 'timeseries', label: 'lines over time' },
  { id: 'stat', label: 'one figure' },
  { id: 'bars', label: 'bars' },
  { id: 'table', label: 'table' },
  { id: 'heatmap', label: 'heat-map' },
  { id: 'honeycomb', label: 'honeycomb' },
  { id: 'timeline', label: 'states over time' },
  { id: 'strip', label: 'uptime strip' },
  { id: 'calendar', label: 'calendar of days' },
  { id: 'text', label: 'text' },
]
export const UNITS: [string, string][] = [['', 'number'], ['s', 'seconds'], ['bytes', 'bytes'], ['bytes/s', 'bytes a second'], ['ratio', 'per cent'], ['/s', 'per second'], ['days', 'days'], ['bool', 'yes and no']]

export const NEW_PANEL: BoardPanel = { title: '', kind: 'timeseries', unit: '', description: '', queries: [{ name: '', query: '' }], text: '', width: 8, thresholds: { warning: null, critical: null, below: false }, fill: 'lines', full: null }

/** Without what is as it would be anyway. */
export function panelDoc(panel: BoardPanel): PanelDoc {
  const { warning, critical, below } = panel.thresholds
  const named: Record<string, string> = {}
  // Two queries of one name would be one: the second is told apart.
  panel.queries.forEach(({ name, query }, index) => (named[name in named ? `${name} ${index + 1}` : name] = query))
  const thresholds: Partial<Limits> = { ...(warning !== null ? { warning } : {}), ...(critical !== null ? { critical } : {}), ...(below ? { below } : {}) }
  return {
    title: panel.title,
    ...(panel.kind !== 'timeseries' ? { kind: panel.kind } : {}),
    ...(panel.unit ? { unit: panel.unit } : {}),
    ...(panel.description ? { description: panel.description } : {}),
    ...(panel.kind === 'text' ? { text: panel.text } : { queries: named }),
    ...(panel.width !== 8 ? { width: panel.width } : {}),
    ...(Object.keys(thresholds).length ? { thresholds } : {}),
    ...(panel.fill && panel.fill !== 'lines' ? { fill: panel.fill } : {}),
    ...(panel.full ? { full: panel.full } : {}),
  }
}

export function boardDoc(board: Board): BoardDoc {
  return {
    name: board.name,
    title: board.title,
    ...(board.description ? { description: board.description } : {}),
    ...(board.variables.length ? { variables: board.variables.map(({ name, of, title }) => ({ name, of, ...(title ? { title } : {}) })) } : {}),
    sections: board.sections.map((section) => ({ title: section.title, panels: section.panels.map(panelDoc) })),
    range: board.range,
  }
}

/** "Orders, by night" -> "orders-by-night": an address. */
export function nameOf(title: string): string {
  const name = title.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^[^a-z]+|-+$/g, '').slice(0, 60)
  return name || 'dashboard'
}

/** With the panel at the end of a section; a section of that title is made where there is none. */
export function withPanel(board: BoardDoc, section: string, panel: PanelDoc): BoardDoc {
  const known = board.sections.some((one) => one.title === section)
  const sections = known ? board.sections : [...board.sections, { title: section, panels: [] }]
  return { ...board, sections: sections.map((one) => (one.title === section ? { ...one, panels: [...one.panels, panel] } : one)) }
}

/** The panel at a place (counted over all sections) replaced; null = taken out. Sections that end up empty go. */
export function changed(board: BoardDoc, place: number, panel: PanelDoc | null): BoardDoc {
  let at = -1
  const sections = board.sections.map((section) => ({ ...section, panels: section.panels.flatMap((one) => (++at === place ? (panel ? [panel] : []) : [one])) }))
  return { ...board, sections: sections.filter((section) => section.panels.length > 0) }
}

/** A place among the panels: the one at `index` of a section. */
export interface Slot { section: number; index: number }
interface Panels<P> { sections: { panels: P[] }[] }

export function slotOf(board: Panels<unknown>, place: number): Slot | null {
  let first = 0
  for (const [section, { panels }] of board.sections.entries()) {
    if (place < first + panels.length) return place < 0 ? null : { section, index: place - first }
    first += panels.length
  }
  return null
}

/** The slot one earlier or later, over the border of a section into the next one; null = there is none. */
export function stepped(board: Panels<unknown>, from: Slot, by: -1 | 1): Slot | null {
  const index = from.index + by
  if (index >= 0 && index < (board.sections[from.section]?.panels.length ?? 0)) return { section: from.section, index }
  const next = board.sections[from.section + by]
  return next ? { section: from.section + by, index: by > 0 ? 0 : next.panels.length } : null
}

/** The panel taken from one slot and put into another: it stands there afterwards. A section it leaves empty stays, for another. */
export function placed<S extends { panels: unknown[] }, B extends { sections: S[] }>(board: B, from: Slot, to: Slot): B {
  const panel = board.sections[from.section]?.panels[from.index]
  if (panel === undefined) return board
  const sections = board.sections.map((section, at) => {
    const panels = at === from.section ? section.panels.filter((_, index) => index !== from.index) : section.panels
    return { ...section, panels: at === to.section ? [...panels.slice(0, to.index), panel, ...panels.slice(to.index)] : panels }
  })
  return { ...board, sections }
}

/** By what panels are known while they move: by what they say, the second of the same apart from the first. */
export function panelKeys(panels: unknown[]): string[] {
  const seen = new Map<string, number>()
  return panels.map((panel) => {
    const text = JSON.stringify(panel)
    const count = seen.get(text) ?? 0
    seen.set(text, count + 1)
    return `${count} ${text}`
  })
}
