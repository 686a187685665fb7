// Names the store knows, for completion: asked once per kind and kept for a minute.

import { prometheus } from './client'
import { FUNCTIONS, type Wanted } from './complete'

const KEPT_MS = 60_000
const MOST_NAMES = '100000'
const MOST_VALUES = '1000'
const kept = new Map<string, { names: Promise<string[]>; asked_ms: number }>()

export async function candidates(want: Wanted, now_ms: number): Promise<string[]> {
  if (want.kind === 'name') return [...FUNCTIONS, ...(await ask('label/__name__/values', { limit: MOST_NAMES }, now_ms))]
  const narrowed: Record<string, string> = want.metric ? { 'match[]': want.metric } : {}
  if (want.kind === 'label') return (await ask('labels', narrowed, now_ms)).filter((name) => name !== '__name__')
  return ask(`label/${want.label}/values`, { ...narrowed, limit: MOST_VALUES }, now_ms)
}

function ask(path: string, parameters: Record<string, string>, now_ms: number): Promise<string[]> {
  const query = new URLSearchParams(parameters)
  const key = `${path}?${query}`
  const known = kept.get(key)
  if (known && now_ms - known.asked_ms < KEPT_MS) return known.names
  const fresh = prometheus<string[]>(path, query).catch(() => {
    kept.delete(key)
    return []
  })
  // Who types does not wait for what is nearly the same: the new names are there with one of the next letters.
  if (known) void fresh.then((names) => kept.set(key, { names: Promise.resolve(names), asked_ms: now_ms }))
  kept.set(key, { names: known ? known.names : fresh, asked_ms: now_ms })
  return known ? known.names : fresh
}
