// Pages that can be looked at as they were. The others say that they show now.

import { match } from './match'

const PAGES = ['/', '/overview', '/alerts', '/alerts/:fingerprint', '/incidents', '/incidents/:number', '/i/:number', '/checks', '/checks/:id', '/silences', '/oncall', '/oncall/:schedule', '/services', '/services/:name/:tab?', '/hosts', '/hosts/:instance', '/explore', '/d/:name']

export function knowsThePast(path: string): boolean {
  return PAGES.some((pattern) => match(pattern, path) !== null)
}

/** What is not kept, and so is not shown of the past; empty = it is all there. */
const NOT_KEPT: [string, string][] = [
  ['/alerts/:fingerprint', 'That it was pending then, and what held it back, is not kept.'],
  ['/checks', 'Durations of single runs and the number of failures in a row are not kept.'],
  ['/checks/:id', 'Of good runs one each ten minutes is kept; the settings shown are those of now.'],
  ['/i/:number', 'What was done and found is shown where nobody changed it since.'],
  ['/incidents/:number', 'What was done and found is shown where nobody changed it since.'],
]

export function notKept(path: string): string {
  return NOT_KEPT.find(([pattern]) => match(pattern, path) !== null)?.[1] ?? ''
}
