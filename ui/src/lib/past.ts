// Pages that can be looked at as they were. The others say that they show now.

import { match } from './match'

const PAGES = ['/', '/overview', '/alerts', '/incidents', '/silences', '/oncall', '/oncall/:schedule', '/services', '/services/:name', '/hosts', '/hosts/:instance', '/explore', '/d/:name']

export function knowsThePast(path: string): boolean {
  return PAGES.some((pattern) => match(pattern, path) !== null)
}

/** `<input type="datetime-local">` speaks the browser's zone, without saying so. */
export function localInput(t_ms: number): string {
  const local = new Date(t_ms - new Date(t_ms).getTimezoneOffset() * 60_000)
  return local.toISOString().slice(0, 16)
}
