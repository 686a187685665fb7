// What Tocsin wrote down for everybody, as one reader sees it: instants in the reader's own time, identifiers of machines left out.

import { clock } from './format'

const INSTANT = /(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)? ?(?:UTC|Z)\b/g
const UUID = /\s*\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g
const KEY = /(?<=\bmessage) [0-9a-f]{32}\b/g
const MESSAGE = /: in one message with [0-9a-f]{32}$/

export function said(text: string, now_ms: number, zone: string | undefined): string {
  return text
    .replace(INSTANT, (_all, day: string, time: string) => clock(Date.parse(`${day}T${time}Z`), now_ms, zone))
    .replace(/silenced by(?= [0-9a-f]{8}-)/g, 'silenced')
    .replace(UUID, '')
    .replace(MESSAGE, '')
    .replace(KEY, '')
    .replace(/`/g, '')
}

/** A long name may break between its words: "CheckoutErrorRateCritical" -> ["Checkout", "Error", "Rate", "Critical"]. */
export function syllables(name: string): string[] {
  return name.split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[_./:-])(?=\w)/)
}
