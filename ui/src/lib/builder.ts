// The builder: a metric, its labels, what is made of it, and over which labels it is summed up; as PromQL, and back where it has that shape.

export type Operator = '=' | '!=' | '=~' | '!~'
export interface Filter { label: string; op: Operator; value: string }
export interface Built { metric: string; filters: Filter[]; make: string; range: string; share: string; over: string; by: string[] }

export const NOTHING: Built = { metric: '', filters: [], make: '', range: '5m', share: '0.95', over: '', by: [] }

export const MAKES = [
  { id: '', label: 'the value itself' },
  { id: 'rate', label: 'rate, per second' },
  { id: 'increase', label: 'increase' },
  { id: 'avg_over_time', label: 'mean over time' },
  { id: 'max_over_time', label: 'highest over time' },
  { id: 'min_over_time', label: 'lowest over time' },
  { id: 'delta', label: 'change of a gauge' },
  { id: 'quantile', label: 'quantile of a histogram' },
]
export const OVERS = ['', 'sum', 'avg', 'min', 'max', 'count']

const quoted = (text: string) => JSON.stringify(text)

export function selector({ metric, filters }: Pick<Built, 'metric' | 'filters'>): string {
  const inside = filters.filter((one) => one.label).map((one) => `${one.label}${one.op}${quoted(one.value)}`).join(',')
  return metric + (inside || !metric ? `{${inside}}` : '')
}

export function promql(parts: Built): string {
  if (!parts.metric) return ''
  const found = selector(parts)
  const by = parts.by.filter(Boolean)
  if (parts.make === 'quantile') return `histogram_quantile(${parts.share}, sum by (${['le', ...by].join(', ')}) (rate(${found}[${parts.range}])))`
  const made = parts.make ? `${parts.make}(${found}[${parts.range}])` : found
  if (!parts.over) return made
  return by.length ? `${parts.over} by (${by.join(', ')}) (${made})` : `${parts.over}(${made})`
}

const SELECTOR = String.raw`([a-zA-Z_:][\w:]*)(?:\{([^{}]*)\})?`
const SHAPES = {
  quantile: new RegExp(String.raw`^histogram_quantile\(\s*([\d.]+)\s*,\s*sum by \(([^()]*)\) ?\(rate\(${SELECTOR}\[(\w+)\]\)\)\)$`),
  over: /^(sum|avg|min|max|count)\s*(?:by \(([^()]*)\))?\s*\(([\s\S]*)\)$/,
  make: new RegExp(String.raw`^(rate|increase|avg_over_time|max_over_time|min_over_time|delta)\(${SELECTOR}\[(\w+)\]\)$`),
  plain: new RegExp(`^${SELECTOR}$`),
}

/** null = it has another shape than the builder makes: such an expression is written, not built. */
export function parsed(query: string): Built | null {
  const text = query.replace(/\s+/g, ' ').trim()
  if (!text) return { ...NOTHING }
  const quantile = SHAPES.quantile.exec(text)
  if (quantile) {
    const [, share = '', by = '', metric = '', inside, range = ''] = quantile
    const filters = filtersOf(inside)
    return filters && { ...NOTHING, metric, filters, make: 'quantile', range, share, by: names(by).filter((name) => name !== 'le') }
  }
  const over = SHAPES.over.exec(text)
  const inner = over ? parsed(over[3] ?? '') : null
  if (over) return inner && !inner.over && inner.make !== 'quantile' ? { ...inner, over: over[1] ?? '', by: names(over[2] ?? '') } : null
  const make = SHAPES.make.exec(text)
  const plain = make ? null : SHAPES.plain.exec(text)
  const filters = filtersOf(make?.[3] ?? plain?.[2])
  if ((!make && !plain) || !filters) return null
  return { ...NOTHING, metric: make?.[2] ?? plain?.[1] ?? '', filters, make: make?.[1] ?? '', range: make?.[4] ?? NOTHING.range }
}

const names = (text: string) => text.split(',').map((name) => name.trim()).filter(Boolean)

function filtersOf(inside: string | undefined): Filter[] | null {
  const filters: Filter[] = []
  let rest = (inside ?? '').trim()
  while (rest) {
    const found = /^([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*")\s*(?:,\s*|$)/.exec(rest)
    if (!found) return null
    try {
      filters.push({ label: found[1] ?? '', op: found[2] as Operator, value: JSON.parse(found[3] ?? '""') as string })
    } catch {
      return null // PromQL knows escapes that JSON does not
    }
    rest = rest.slice(found[0].length)
  }
  return filters
}
