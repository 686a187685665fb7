// `/checks/:id` against `/checks/shop`: the parameters, or null. A last part that ends in `?` may be missing: `/services/:name/:tab?`.

export type Parameters = Record<string, string>

export function match(pattern: string, path: string): Parameters | null {
  const wanted = pattern.split('/')
  const given = path.replace(/(.)\/$/, '$1').split('/')
  const optional = pattern.endsWith('?')
  if (given.length > wanted.length || given.length < wanted.length - (optional ? 1 : 0)) return null
  const found: Parameters = {}
  for (const [index, part] of wanted.entries()) {
    const value = given[index]
    if (value === undefined) continue
    if (part.startsWith(':')) found[part.slice(1).replace('?', '')] = decode(value)
    else if (part !== value) return null
  }
  return found
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
