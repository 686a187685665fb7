// The evidence of a run as a conversation: what was asked, the head of the answer, a piece of its body; and what else was seen.

import type { CheckResult } from './api'
import { evidence } from './evidence'

export interface Conversation { request: string; head: string; body: string; note: string }

const SPOKEN = ['request', 'headers', 'body_excerpt', 'body_bytes', 'body_cut', 'status', 'http_version', 'run_id']

export function conversation(result: CheckResult): Conversation {
  const facts = result.facts
  const asked = record(facts.request)
  const lines = (headers: unknown) => Object.entries(record(headers)).map(([name, value]) => `${name}: ${String(value)}`)
  const request = asked.method ? [`${String(asked.method)} ${String(asked.url)}`, ...lines(asked.headers), ...(asked.body_bytes ? [`(a body of ${String(asked.body_bytes)} bytes)`] : [])] : []
  const status = typeof facts.status === 'number' ? `HTTP${facts.http_version ? `/${String(facts.http_version)}` : ''} ${facts.status}` : ''
  const head = [...(status ? [status] : []), ...lines(facts.headers)]
  const body = typeof facts.body_excerpt === 'string' ? facts.body_excerpt : ''
  const bytes = typeof facts.body_bytes === 'number' ? facts.body_bytes : body.length
  const note = facts.body_cut ? `the first ${body.length} of more than ${bytes} bytes` : bytes > body.length ? `the first ${body.length} of ${bytes} bytes` : `${bytes} bytes`
  return { request: request.join('\n'), head: head.join('\n'), body, note }
}

/** What stands neither in the request nor in the answer. */
export function otherFacts(result: CheckResult): [string, string][] {
  return evidence({ ...result, facts: Object.fromEntries(Object.entries(result.facts).filter(([name]) => !SPOKEN.includes(name))) })
}

function record(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
