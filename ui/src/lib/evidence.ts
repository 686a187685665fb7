// What a check saw, as names and texts a person reads, in an order that answers first.

import type { CheckResult } from './api'

const PICTURE = 'screenshot'
/** Too much for a line of a list: the run's own page shows it. */
const ASIDE = [PICTURE, 'request']
const FIRST = ['status', 'url', 'final_url', 'address', 'version', 'content_type', 'assertion', 'certificate_days', 'error']

export function evidence(result: CheckResult): [string, string][] {
  const names = Object.keys(result.facts).filter((name) => !ASIDE.includes(name))
  const order = [...FIRST.filter((name) => names.includes(name)), ...names.filter((name) => !FIRST.includes(name))]
  return order.map((name) => [words(name), text(result.facts[name])] as [string, string]).filter(([, value]) => value !== '')
}

// What a browser check saw of the page; nothing but a picture of our own making is ever shown.
export function picture(result: CheckResult): string {
  const value = result.facts[PICTURE]
  return typeof value === 'string' && /^data:image\/jpeg;base64,[A-Za-z0-9+/=]+$/.test(value) ? value : ''
}

export function words(name: string): string {
  const spaced = name.replace(/_/g, ' ').replace(/\b(?:url|http|https|tls|dns|tcp|udp|ip|ttl|sql|id|alpn|smtp|ssh|rtt)\b/gi, (word) => word.toUpperCase())
  return spaced.charAt(0).toUpperCase() + spaced.slice(1)
}

export function text(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)))
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join(', ')
  const parts = Object.values(value)
  // Headers and the like are lines of names and values; only what is nested deeper keeps its braces.
  if (!Array.isArray(value) && parts.length && parts.every((one) => typeof one !== 'object')) return Object.entries(value).map(([name, one]) => `${name}: ${one}`).join('\n')
  return JSON.stringify(value, null, 2)
}
