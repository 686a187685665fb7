// The route prefix Tocsin is served under: "" or "/tocsin". Our own code lies at <prefix>/assets/..., so it knows.

export const prefix = prefixOf(import.meta.url)

export function prefixOf(url: string): string {
  const path = /^[a-z]+:\/\/[^/]*(\/.*)$/.exec(url)?.[1] ?? '/'
  const assets = path.lastIndexOf('/assets/')
  return assets > 0 && url.startsWith('http') ? path.slice(0, assets) : ''
}

/** `/i/42` -> the address as the browser needs it. */
export function absolute(path: string): string {
  return prefix + path
}

/** The address bar's path -> a path of our grammar. */
export function relative(pathname: string): string {
  return pathname.startsWith(prefix) ? pathname.slice(prefix.length) || '/' : pathname
}
