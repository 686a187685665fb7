// A wallboard that turns pages: /?kiosk=1&rotate=30s&pages=/,/d/hosts,/services

export interface Rotation { every_ms: number; pages: string[] }

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000 }
/** Less than this nobody can read. */
const LEAST_MS = 2000
/** After a key or a touch the page stays for somebody who is looking. */
export const PAUSE_MS = 60_000

/** null = nothing to turn: no time, or not two pages. Pages are paths of ours, each with its own parameters if it has any. */
export function rotationOf(rotate: string, pages: string): Rotation | null {
  const found = /^(\d{1,5})(s|m|h)$/.exec(rotate)
  const paths = pages.split(',').map((one) => one.trim()).filter((one) => /^\/(?![/\\])/.test(one))
  if (!found || paths.length < 2) return null
  return { every_ms: Math.max(LEAST_MS, Number(found[1]) * (UNIT_MS[found[2] ?? 's'] ?? 1000)), pages: paths }
}

/** Where in the round the page at `path` with `search` is; of two views of one page the one whose own parameters are all there. */
export function placeIn(rotation: Rotation, path: string, search: URLSearchParams): number {
  const fits = rotation.pages.map((page) => {
    const [bare, query = ''] = page.split('?')
    if (bare !== path) return -1
    const own = [...new URLSearchParams(query)]
    return own.every(([name, value]) => search.getAll(name).includes(value)) ? own.length : -1
  })
  const best = Math.max(...fits)
  return best < 0 ? -1 : fits.indexOf(best)
}

/** The next page, or the one before; from a page that is not in the round, the first. */
export function turned(rotation: Rotation, place: number, by: 1 | -1): number {
  return place < 0 ? 0 : (place + by + rotation.pages.length) % rotation.pages.length
}

/** The address of a wallboard, as people make it by ticking pages. One page alone turns nothing. */
export function wallboardPath(pages: string[], seconds: number, theme: string): string {
  const [first = '/', ...rest] = pages
  const [bare = '/', query = ''] = first.split('?')
  const search = new URLSearchParams(query)
  search.set('kiosk', '1')
  if (rest.length) search.set('rotate', `${seconds}s`)
  if (rest.length) search.set('pages', pages.join(','))
  if (theme) search.set('theme', theme)
  return `${bare}?${search.toString().replace(/%2C/g, ',').replace(/%2F/g, '/')}`
}
