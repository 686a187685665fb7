// Rules as Prometheus's /api/v1/rules tells them; and the limits of a service's rules as lines for its charts.

import type { Labels } from './api'
import type { Threshold } from './chart'
import { prometheus } from './client'
import { splitComparison } from './expression'
import { matches } from './matchers'
import { inUnit } from './format'
import { severityLook, type Look } from './status'

export interface Rule {
  type: 'alerting' | 'recording'
  name: string
  query: string
  state?: 'inactive' | 'pending' | 'firing'
  health: string
  lastError?: string
  duration?: number
  keepFiringFor?: number
  labels?: Labels
  annotations?: Labels
  alerts?: { labels: Labels; state: string; activeAt: string; value: string }[]
  evaluationTime: number
  lastEvaluation: string
}
export interface RuleGroup { name: string; file: string; interval: number; rules: Rule[]; evaluationTime: number; lastEvaluation: string }

export async function ruleGroups(_path: string, signal: AbortSignal): Promise<RuleGroup[]> {
  return (await prometheus<{ groups: RuleGroup[] }>('rules', new URLSearchParams(), signal)).groups
}

const SERVICE_TEST = /\bservice\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"/g

/** A rule that names other services in its label or in every one of its selectors is not about this one. */
export function isAbout(rule: Rule, service: string): boolean {
  if (rule.labels?.service && !rule.labels.service.includes('{{')) return rule.labels.service === service
  const tests = [...rule.query.matchAll(SERVICE_TEST)].map(([, operator = '=', value = '']) => ({ name: 'service', value: value.replace(/\\(.)/g, '$1'), isRegex: operator.endsWith('~'), isEqual: operator.startsWith('=') }))
  return tests.every((test) => matches([test], { service }))
}

/** Which of the two signals of a service a rule limits: as it says itself, else by what it measures. */
function signalOf(rule: Rule): string {
  if (rule.labels?.slo) return '' // a burn rate is neither
  if (rule.labels?.signal) return rule.labels.signal
  const { value } = splitComparison(rule.query)
  if (/histogram_quantile/.test(value) && /http_server_request_duration_seconds/.test(value)) return 'latency'
  return /http_response_status_code=~"5/.test(value) && /\//.test(value) && /http_server_request_duration_seconds/.test(value) ? 'errors' : ''
}

/** Of a rule that asks for several things at once, the limit of the one that is plainly a share: `... and errors / requests > 0.01`. */
function shareLimit(query: string): number | null {
  let depth = 0
  let flat = ''
  for (const char of query.replace(/\s+/g, ' ')) {
    if (')}]'.includes(char)) depth--
    flat += depth > 0 ? '_' : char
    if ('({['.includes(char)) depth++
  }
  if (/ or /.test(flat)) return null
  const found = flat.split(/ and /).map((part) => (part.includes('/') ? splitComparison(part).limit : null))
  return found.find((limit) => limit !== null) ?? null
}

/** Limits that the rules of a service set on one signal (`latency` in seconds, `errors` as a ratio), lowest first, one line per value. */
export function limits(groups: RuleGroup[], signal: 'latency' | 'errors', severities: string[], service = ''): Threshold[] {
  const found = new Map<number, Threshold>()
  for (const rule of groups.flatMap((group) => group.rules)) {
    if (rule.type !== 'alerting' || signalOf(rule) !== signal || (service && !isAbout(rule, service))) continue
    const ratio = signal === 'errors'
    const limit = splitComparison(rule.query).limit ?? (ratio ? shareLimit(rule.query) : null)
    if (limit === null || limit <= 0 || (ratio && limit >= 1)) continue
    const severity = rule.labels?.severity ?? 'warning'
    const look = severityLook(severity, severities) === 'critical' ? 'critical' : 'warning'
    found.set(limit, { value: limit, label: `${severity} ${ratio ? `${limit * 100} %` : `${limit} s`}`, look })
  }
  return [...found.values()].sort((a, b) => a.value - b.value)
}

/** The limits that alert rules set on just this expression, lowest first: asked here, it is seen against them. */
export function limitsOf(groups: RuleGroup[], query: string, severities: string[], unit: string): Threshold[] {
  const bare = (text: string) => text.replace(/\s+/g, '').replace(/^\((.*)\)$/, '$1')
  const [asked, own] = [bare(query), bare(splitComparison(query).value)]
  const found = new Map<number, Threshold>()
  for (const rule of groups.flatMap((group) => group.rules)) {
    if (rule.type !== 'alerting') continue
    const { value, limit } = splitComparison(rule.query)
    if (limit === null || (bare(value) !== asked && bare(value) !== own)) continue
    const look = severityLook(rule.labels?.severity ?? 'warning', severities) === 'critical' ? 'critical' : 'warning'
    found.set(limit, { value: limit, label: `${rule.name} ${inUnit(limit, unit)}`, look })
  }
  return [...found.values()].sort((a, b) => a.value - b.value)
}

export function ruleLook(rule: Rule, severities: string[] = []): Look {
  if (rule.health === 'err') return 'critical'
  if (rule.state === 'firing') return severityLook(rule.labels?.severity ?? '', severities)
  if (rule.state === 'pending') return 'pending'
  return rule.type === 'recording' ? 'info' : 'ok'
}

/** What tells rules of one name apart: the window of an objective's, the check of a check's. */
export const ruleOf = (rule: Rule): string => (rule.labels?.slo ? rule.labels.window : rule.labels?.check) ?? ''

export function ruleWord(rule: Rule): string {
  if (rule.health === 'err') return 'fails'
  if (rule.state === 'firing' || rule.state === 'pending') return rule.state
  return rule.type === 'recording' ? 'records' : 'quiet'
}
