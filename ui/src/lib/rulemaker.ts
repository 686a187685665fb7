// "Alert from this": a rule file made of an expression.

export interface Draft { name: string; query: string; operator: '>' | '>=' | '<' | '<=' | '==' | '!='; limit: string; for: string; severity: string; summary: string }

/** The draft's expression: the query compared with the limit, put in brackets where it needs them. */
export function expression(draft: Pick<Draft, 'query' | 'operator' | 'limit'>): string {
  const query = draft.query.trim()
  const simple = /^[\w:]+(\{[^{}]*\})?$/.test(query) || /^[\w:]+(\s+(by|without)\s*\([^()]*\))?\s*\(.*\)$/.test(query) && balanced(query)
  return `${simple ? query : `(${query})`} ${draft.operator} ${draft.limit}`
}

/** One pair of brackets spans to the very end: `sum(a) / sum(b)` is none. */
function balanced(query: string): boolean {
  const by = /^[\w:]+\s+(?:by|without)\s*\([^()]*\)\s*/.exec(query)?.[0].length ?? query.indexOf('(')
  let depth = 0
  for (let index = by; index < query.length; index++) {
    if (query[index] === '(') depth += 1
    if (query[index] === ')' && --depth === 0) return index === query.length - 1
  }
  return false
}

export function problems(draft: Draft): string[] {
  const found: string[] = []
  if (!/^[A-Za-z_]\w*$/.test(draft.name)) found.push('name: letters, digits and _, such as CheckoutSlow')
  if (draft.limit.trim() === '' || !Number.isFinite(Number(draft.limit))) found.push('limit: expected a number')
  if (!/^\d+(ms|[smhdwy])(\d+(ms|[smhdwy]))*$/.test(draft.for) && draft.for !== '0') found.push('for: expected a duration such as 5m')
  if (!draft.query.trim()) found.push('expression: expected PromQL')
  return found
}

/** A rule file that promtool and Tocsin read. */
export function snippet(draft: Draft): string {
  const text = (value: string) => JSON.stringify(value) // a JSON string is a YAML string
  return [
    'groups:',
    '  - name: mine',
    '    rules:',
    `      - alert: ${draft.name}`,
    `        expr: ${text(expression(draft))}`,
    ...(draft.for && draft.for !== '0' ? [`        for: ${draft.for}`] : []),
    '        labels:',
    `          severity: ${text(draft.severity)}`,
    '        annotations:',
    `          summary: ${text(draft.summary || `${draft.name}: {{ $value }}`)}`,
    '',
  ].join('\n')
}

const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }
export function seconds(duration: string): number {
  return [...duration.matchAll(/(\d+)(ms|[smhdwy])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ''] ?? 0), 0)
}
