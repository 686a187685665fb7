// Completion of PromQL: what stands before the caret, and which names fit, best first. Pure; the box asks the server for the names.

export type Wanted =
  | { kind: 'name'; prefix: string; start: number } // metric or function
  | { kind: 'label'; prefix: string; start: number; metric: string }
  | { kind: 'value'; prefix: string; start: number; metric: string; label: string }

export const FUNCTIONS = [
  'abs', 'absent', 'absent_over_time', 'avg', 'avg_over_time', 'bottomk', 'ceil', 'changes', 'clamp', 'clamp_max', 'clamp_min', 'count', 'count_over_time', 'count_values', 'delta', 'deriv', 'exp', 'floor', 'group', 'histogram_quantile', 'idelta', 'increase', 'irate', 'label_join', 'label_replace', 'last_over_time', 'ln', 'log10', 'log2', 'max', 'max_over_time', 'min', 'min_over_time', 'predict_linear', 'present_over_time', 'quantile', 'quantile_over_time', 'rate', 'resets', 'round', 'scalar', 'sort', 'sort_desc', 'sqrt', 'stddev', 'stddev_over_time', 'stdvar', 'sum', 'sum_over_time', 'time', 'timestamp', 'topk', 'vector',
]

export const MOST = 50

/** What a person is writing at `caret`; null inside durations, numbers and strings that are no label's value. */
export function wanted(text: string, caret: number): Wanted | null {
  const before = text.slice(0, caret)
  const value = /([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"([^"]*)$/.exec(before)
  const braces = openBraces(before)
  if (value && braces !== null) return { kind: 'value', prefix: value[2] ?? '', start: caret - (value[2] ?? '').length, metric: metricBefore(before, braces), label: value[1] ?? '' }
  const word = /[a-zA-Z_:][\w:]*$/.exec(before)?.[0] ?? ''
  const start = caret - word.length
  if (/["'`\d.]$/.test(before.slice(0, start))) return null
  const grouping = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)$/.test(before)
  if (braces !== null || grouping) return { kind: 'label', prefix: word, start, metric: braces === null ? '' : metricBefore(before, braces) }
  return word ? { kind: 'name', prefix: word, start } : null
}

/** Index of the brace that is still open, outside quotes. */
function openBraces(before: string): number | null {
  let open: number | null = null
  let quoted = false
  for (let index = 0; index < before.length; index++) {
    const char = before[index]
    if (quoted && char === '\\') index++
    else if (char === '"') quoted = !quoted
    else if (!quoted && char === '{') open = index
    else if (!quoted && char === '}') open = null
  }
  return open
}

function metricBefore(text: string, brace: number): string {
  return /([a-zA-Z_:][\w:]*)\s*$/.exec(text.slice(0, brace))?.[1] ?? ''
}

/** Best first: begins with it, a part begins with it, holds it, holds its letters in order; shorter names before longer ones. */
export function rank(names: readonly string[], prefix: string, most = MOST): string[] {
  if (prefix === '') return names.slice(0, most)
  const low = prefix.toLowerCase()
  const buckets: string[][] = [[], [], [], []]
  for (const name of names) {
    const where = name.toLowerCase().indexOf(low)
    if (where === 0) buckets[0]?.push(name)
    else if (where > 0) buckets[/[_:]/.test(name[where - 1] ?? '') ? 1 : 2]?.push(name)
    else if (low.length > 2 && inOrder(name.toLowerCase(), low)) buckets[3]?.push(name)
  }
  const found: string[] = []
  for (const bucket of buckets) {
    if (found.length >= most) break
    found.push(...bucket.sort((a, b) => a.length - b.length || a.localeCompare(b)))
  }
  return found.slice(0, most)
}

function inOrder(name: string, letters: string): boolean {
  let at = 0
  for (const char of name) if (char === letters[at]) at++
  return at === letters.length
}

/** The text with the choice in place, and where the caret goes. */
export function insert(text: string, caret: number, want: Wanted, choice: string): { text: string; caret: number } {
  const rest = text.slice(caret)
  const call = want.kind === 'name' && FUNCTIONS.includes(choice) && !rest.startsWith('(') ? '(' : ''
  const added = want.kind === 'label' && !/^\s*(=|!)/.test(rest) && text.slice(0, want.start).match(/[{,]\s*$/) && !/\b(by|without|on|ignoring)\s*\([^()]*$/.test(text.slice(0, want.start)) ? `${choice}="` : choice + call
  return { text: text.slice(0, want.start) + added + rest, caret: want.start + added.length }
}
