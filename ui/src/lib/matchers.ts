// Label matchers: the text people type and keep in addresses, and the JSON of silences.

import type { Labels, SilenceRow } from './api'

export type Matcher = SilenceRow['matchers'][number]

const PATTERN = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^",{}]*))\s*$/

/** `route=~"/pay.*"`, or `team=web` without quotes; null when it is neither. */
export function parseMatcher(text: string): Matcher | null {
  const found = PATTERN.exec(text)
  if (!found) return null
  const [, name = '', operator = '=', quoted, bare] = found
  const value = quoted !== undefined ? quoted.replace(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)) : (bare ?? '').trim()
  return { name, value, isRegex: operator.endsWith('~'), isEqual: operator.startsWith('=') }
}

/** What stands between the commas of an address; those within quotes are text. */
export function listed(text: string): string[] {
  return (text.match(/(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g) ?? []).map((one) => one.trim()).filter(Boolean)
}

export function printMatcher(matcher: Matcher): string {
  const operator = matcher.isRegex ? (matcher.isEqual ? '=~' : '!~') : matcher.isEqual ? '=' : '!='
  return `${matcher.name}${operator}"${matcher.value.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n')}"`
}

export function matches(matchers: Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => {
    const value = labels[matcher.name] ?? ''
    return matcher.isEqual === (matcher.isRegex ? fully(matcher.value, value) : matcher.value === value)
  })
}

function fully(pattern: string, value: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(value)
  } catch {
    return false // RE2 on the server may know what a browser does not; the server's filter decides then
  }
}

/** What makes an alert itself, without what merely describes it: the start of a silence. */
export function matchersOf(labels: Labels): Matcher[] {
  return Object.entries(labels)
    .filter(([name]) => name !== 'severity' && !name.startsWith('__'))
    .map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }))
}

/** Free text over everything a person may remember of a row. */
export function contains(needle: string, ...haystack: (string | Labels)[]): boolean {
  const words = needle.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return true
  const text = haystack.map((part) => (typeof part === 'string' ? part : Object.entries(part).flat().join(' '))).join(' ').toLowerCase()
  return words.every((word) => text.includes(word))
}
