// A rule is usually `value > limit`, perhaps `and` further conditions: the chart draws the value and the limit as a line. Only that
// shape is taken apart, at the top level.

export interface Comparison { value: string; limit: number | null }

export function splitComparison(expression: string): Comparison {
  const found = topLevel(expression)
  if (!found) return { value: expression, limit: null }
  const right = expression.slice(found.end, found.stop).trim()
  const value = expression.slice(0, found.start).trim()
  return value && right !== '' && Number.isFinite(Number(right)) ? { value, limit: Number(right) } : { value: expression, limit: null }
}

/** `>`, `<=` and so on, of an expression that splitComparison takes apart; else empty. */
export function operatorOf(expression: string): string {
  const found = splitComparison(expression).limit === null ? null : topLevel(expression)
  return found ? expression.slice(found.start, found.end) : ''
}

/** The one comparison outside brackets and quotes, up to the first `and` or `unless`; none when `or` makes two halves of it. */
function topLevel(text: string): { start: number; end: number; stop: number } | null {
  let depth = 0
  let quote = ''
  let found: { start: number; end: number; stop: number } | null = null
  for (let index = 0; index < text.length; index++) {
    const char = text[index] ?? ''
    if (quote) {
      if (char === '\\') index++
      else if (char === quote) quote = ''
    } else if ('"\'`'.includes(char)) quote = char
    else if ('([{'.includes(char)) depth++
    else if (')]}'.includes(char)) depth--
    else if (depth === 0 && /^\sor\b/i.test(text.slice(index, index + 4))) return null
    else if (depth === 0 && /^\s(and|unless)\b/i.test(text.slice(index, index + 8))) return found && !/\sor\s/i.test(text.slice(index)) ? { ...found, stop: index } : null
    else if (depth === 0) {
      const operator = /^(>=|<=|==|!=|>|<)(?!~)/.exec(text.slice(index))
      if (!operator) continue
      if (found) return null
      const end = index + operator[0].length
      found = { start: index, end, stop: text.length }
      index = end - 1
    }
  }
  return found
}
