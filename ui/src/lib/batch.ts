// Several expressions in one request: each is marked with a label that says whose a series is.

import type { Labels } from './api'
import type { PromSeries } from './prom'
import type { Named } from './red'

export const FIGURE = 'figure'

/** One expression of all of them. Names tell them apart; an empty one is allowed once. */
export function together(queries: Named[]): string {
  if (queries.length === 1) return queries[0]?.query ?? ''
  // The label is not there, so it is empty, which is what the pattern asks for.
  return queries.map(({ name, query }) => `label_replace(${query}, "${FIGURE}", ${JSON.stringify(name.replaceAll('$', '$$$$'))}, "${FIGURE}", "")`).join(' or ')
}

/** The series of each expression, without the mark, in the order of the expressions. */
export function apart(queries: Named[], series: PromSeries[]): PromSeries[][] {
  if (queries.length === 1) return [series]
  const found = new Map<string, PromSeries[]>(queries.map((one) => [one.name, []]))
  for (const one of series) {
    const { [FIGURE]: name = '', ...metric } = one.metric
    found.get(name)?.push({ ...one, metric })
  }
  return queries.map((one) => found.get(one.name) ?? [])
}

export interface FigureRow { key: string; labels: Labels; values: Record<string, number> }

/** An instant answer of `together` as rows: one for each set of the labels in `by`, its figures by their names. */
export function figureRows(series: PromSeries[], by: string[]): FigureRow[] {
  const rows = new Map<string, FigureRow>()
  for (const one of series) {
    const labels = Object.fromEntries(by.map((name) => [name, one.metric[name] ?? '']))
    const key = JSON.stringify(Object.values(labels))
    const row = rows.get(key) ?? { key, labels, values: {} }
    const value = Number(one.value?.[1] ?? NaN)
    if (Number.isFinite(value)) row.values[one.metric[FIGURE] ?? ''] = value
    rows.set(key, row)
  }
  return [...rows.values()]
}

/** By a figure, the highest first when it begins with `-`; rows without it last. */
export function byFigure(rows: FigureRow[], order: string): FigureRow[] {
  const name = order.replace(/^-/, '')
  const sign = order.startsWith('-') ? -1 : 1
  return [...rows].sort((a, b) => {
    const [mine, other] = [a.values[name], b.values[name]]
    if (mine === undefined || other === undefined) return Number(mine === undefined) - Number(other === undefined) || a.key.localeCompare(b.key)
    return sign * (mine - other) || a.key.localeCompare(b.key)
  })
}
