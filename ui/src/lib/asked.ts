// The expressions of Explore: their letters, which of them are switched off, and which share an axis.

import { seriesName, short, unitOf, type Line } from './prom'

/** `on`: it is asked and shown. `place`: among all that are written, so that its colours stay when another is switched off. */
export interface Asked { letter: string; query: string; on: boolean; place: number }

/** A to Z, then AA. */
export function letterOf(index: number): string {
  return index < 26 ? String.fromCharCode(65 + index) : letterOf(Math.floor(index / 26) - 1) + letterOf(index % 26)
}

export function asked(queries: string[], off: string[]): Asked[] {
  return queries.map((query, place) => ({ letter: letterOf(place), query, on: !off.includes(letterOf(place)), place }))
}

export function toggled(off: string[], letter: string): string[] {
  return off.includes(letter) ? off.filter((one) => one !== letter) : [...off, letter].sort()
}

/** Those below the one that goes move up a letter, and stay switched off where they were. */
export function without(queries: string[], off: string[], index: number): { queries: string[]; off: string[] } {
  const left = asked(queries, off).filter((one) => one.place !== index)
  return { queries: left.map((one) => one.query), off: left.flatMap((one, place) => (one.on ? [] : [letterOf(place)])) }
}

/** One chart for each unit: seconds and requests on one axis say nothing about each other. A chosen unit is that of all. */
export function byUnit(list: Asked[], chosen: string | undefined): { unit: string; list: Asked[] }[] {
  const found = new Map<string, Asked[]>()
  for (const one of list) {
    const unit = chosen ?? unitOf(one.query)
    found.set(unit, [...(found.get(unit) ?? []), one])
  }
  return [...found].map(([unit, list]) => ({ unit, list }))
}

/** "A node_load1"; a line without labels is called by its expression. */
export function lineName(one: Asked, line: Line): string {
  const own = Object.keys(line.labels).length ? line.name || seriesName(line.labels) : short(one.query.trim().replace(/\s+/g, ' '))
  return `${one.letter} ${own}`
}

/** The colours of `count` expressions in turn: no two of them begin alike, and each keeps its own whatever the others find. */
export function linePlace(one: Asked, index: number, count: number): number {
  const stride = count % 7 ? count : count + 1
  return one.place + index * stride
}
