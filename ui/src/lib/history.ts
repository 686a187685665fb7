// Expressions that were run, newest first, and those a person starred. Kept by this browser; a broken store is an empty one.

export interface Kept { query: string; used_ms: number; starred: boolean }

const KEY = 'tocsin-queries'
const MOST = 100
/** Longer ones are run but not kept: a store of 5 MB should not be one query. */
const LONGEST = 10_000

export function used(list: Kept[], query: string, now_ms: number): Kept[] {
  const text = query.trim()
  if (!text || text.length > LONGEST) return list
  const before = list.find((one) => one.query === text)
  const next = [{ query: text, used_ms: now_ms, starred: before?.starred ?? false }, ...list.filter((one) => one.query !== text)]
  return next.filter((one, index) => one.starred || index < MOST)
}

export function starred(list: Kept[], query: string): Kept[] {
  return list.map((one) => (one.query === query ? { ...one, starred: !one.starred } : one))
}

export function forgotten(list: Kept[], query: string): Kept[] {
  return list.filter((one) => one.query !== query)
}

export function read(store: Pick<Storage, 'getItem'>): Kept[] {
  try {
    const raw: unknown = JSON.parse(store.getItem(KEY) ?? '[]')
    return Array.isArray(raw) ? raw.filter((one): one is Kept => typeof one?.query === 'string' && typeof one?.used_ms === 'number').map((one) => ({ ...one, starred: one.starred === true })) : []
  } catch {
    return []
  }
}

export function write(store: Pick<Storage, 'setItem'>, list: Kept[]): void {
  try {
    store.setItem(KEY, JSON.stringify(list))
  } catch {
    // A full or forbidden store: the list lives as long as the page.
  }
}
