// What people do to incidents, alerts and checks. Acknowledge and silence ask nothing and can be undone; the page follows by the stream.

import type { CheckResult, CheckRow, IncidentRow, SilenceRow } from './api'
import { post, remove } from './client'
import { clock } from './format'
import type { Matcher } from './matchers'
import { router } from './router.svelte'
import { attempt, toasts } from './toast.svelte'
import { live } from './live.svelte'

export function acknowledge(incident: Pick<IncidentRow, 'number' | 'version'>): Promise<boolean> {
  const address = `/incidents/${incident.number}`
  const undo = async () => void (await post(`${address}/unacknowledge`))
  return attempt(`Could not acknowledge #${incident.number}`, () => post(`${address}/acknowledge`, { version: incident.version }), `Acknowledged #${incident.number}`, undo)
}

/** Several at once: what could be acknowledged is, and what could not is said. */
export async function acknowledgeAll(numbers: number[]): Promise<void> {
  const answers = await Promise.allSettled(numbers.map((number) => post(`/incidents/${number}/acknowledge`)))
  const done = numbers.filter((_, i) => answers[i]?.status === 'fulfilled')
  const undo = async () => void (await Promise.all(done.map((number) => post(`/incidents/${number}/unacknowledge`))))
  if (done.length) toasts.say(`Acknowledged ${done.map((number) => `#${number}`).join(', ')}`, undo)
  answers.forEach((answer, i) => answer.status === 'rejected' && toasts.fail(`Could not acknowledge #${numbers[i]}`, answer.reason))
}

export function escalate(number: number): Promise<boolean> {
  return attempt(`Could not escalate #${number}`, () => post(`/incidents/${number}/escalate`), `Escalated #${number}: the next step is being paged`)
}

export function resolve(number: number): Promise<boolean> {
  return attempt(`Could not resolve #${number}`, () => post(`/incidents/${number}/resolve`), `Resolved #${number}`)
}

export function snooze(number: number, until_ms: number): Promise<boolean> {
  const done = `#${number} snoozed until ${clock(until_ms, live.now, router.zone)}`
  const undo = async () => void (await post(`/incidents/${number}/unacknowledge`))
  return attempt(`Could not snooze #${number}`, () => post(`/incidents/${number}/snooze`, { until_ms }), done, undo)
}

export function note(number: number, text: string): Promise<boolean> {
  return attempt('Could not save the note', () => post(`/incidents/${number}/note`, { text }))
}

export function verdict(number: number, value: 'real' | 'noise' | 'duplicate'): Promise<boolean> {
  return attempt('Could not save the verdict', () => post(`/incidents/${number}/verdict`, { verdict: value }), `#${number}: ${value}`)
}

export interface NewSilence { matchers: Matcher[]; ends_at_ms: number; comment: string; starts_at_ms?: number; id?: string }

export async function silence(wanted: NewSilence): Promise<boolean> {
  let made: SilenceRow | null = null
  const work = async () => (made = await post<SilenceRow>('/silences', wanted))
  const undo = async () => {
    if (made) await remove(`/silences/${made.id}`)
  }
  return attempt('Could not silence', work, `Silenced until ${clock(wanted.ends_at_ms, live.now, router.zone)}`, undo)
}

export function expireSilence(row: SilenceRow): Promise<boolean> {
  const { matchers, ends_at_ms, comment } = row
  const undo = async () => void (await post('/silences', { matchers, ends_at_ms, comment }))
  return attempt('Could not end the silence', () => remove(`/silences/${row.id}`), 'Silence ended', undo)
}

export async function runNow(id: string): Promise<CheckResult> {
  return post<CheckResult>(`/checks/${encodeURIComponent(id)}/run`)
}

export function pauseCheck(check: CheckRow): Promise<boolean> {
  const paused = check.state === 'paused'
  const address = `/checks/${encodeURIComponent(check.id)}`
  const undo = async () => void (await post(`${address}/${paused ? 'pause' : 'resume'}`))
  return attempt(`Could not ${paused ? 'resume' : 'pause'} ${check.name}`, () => post(`${address}/${paused ? 'resume' : 'pause'}`), `${check.name} ${paused ? 'resumed' : 'paused'}`, undo)
}
