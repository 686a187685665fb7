// What people do to incidents, alerts and checks. Acknowledge and silence ask nothing and can be undone; the page follows by the stream.

import type { CheckDetail, IncidentDetail, IncidentRow, SilenceRow } from './api'
import { post, remove } from './client'
import { clock } from './format'
import { asItClimbs, asItStands, doTo } from './held'
import type { Matcher } from './matchers'
import { router } from './router.svelte'
import type { Todo } from './todos'
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

/** One command to an incident, if what one decides it by is as it was looked at. */
const say = (incident: IncidentDetail, command: string, by = asItStands, body: unknown = {}) => () =>
  doTo(incident, by, (etag) => post(`/incidents/${incident.number}/${command}`, body, undefined, etag))

export function escalate(incident: IncidentDetail): Promise<boolean> {
  const { number } = incident
  return attempt(`Could not escalate #${number}`, say(incident, 'escalate', asItClimbs), `Escalated #${number}: the next step is being paged`)
}

export function resolve(incident: IncidentDetail): Promise<boolean> {
  return attempt(`Could not resolve #${incident.number}`, say(incident, 'resolve'), `Resolved #${incident.number}`)
}

export function giveBack(incident: IncidentDetail): Promise<boolean> {
  return attempt('Could not give it back', say(incident, 'unacknowledge'), `#${incident.number} is open to everybody again`)
}

export function snooze(incident: IncidentDetail, until_ms: number): Promise<boolean> {
  const { number } = incident
  const done = `#${number} snoozed until ${clock(until_ms, live.now, router.zone)}`
  const undo = async () => void (await post(`/incidents/${number}/unacknowledge`))
  return attempt(`Could not snooze #${number}`, say(incident, 'snooze', asItStands, { until_ms }), done, undo)
}

export function assign(incident: IncidentDetail, to: string): Promise<boolean> {
  return attempt(`Could not assign #${incident.number}`, say(incident, 'assign', (one) => one.assignee, { to }), `#${incident.number} is ${to}’s`)
}

/** Several at once: somebody gets what is open of them. */
export async function assignAll(numbers: number[], to: string): Promise<void> {
  const answers = await Promise.allSettled(numbers.map((number) => post(`/incidents/${number}/assign`, { to })))
  const done = numbers.filter((_, i) => answers[i]?.status === 'fulfilled')
  if (done.length) toasts.say(`${done.map((number) => `#${number}`).join(', ')} ${done.length === 1 ? 'is' : 'are'} ${to}’s`)
  answers.forEach((answer, i) => answer.status === 'rejected' && toasts.fail(`Could not assign #${numbers[i]}`, answer.reason))
}

export function note(number: number, text: string): Promise<boolean> {
  return attempt('Could not save the note', () => post(`/incidents/${number}/note`, { text }))
}

export function verdict(incident: IncidentDetail, value: 'real' | 'noise' | 'duplicate'): Promise<boolean> {
  return attempt('Could not save the verdict', say(incident, 'verdict', (one) => one.verdict, { verdict: value }), `#${incident.number}: ${value}`)
}

/** Action items, if nobody changed them since they were looked at. */
export function saveTodos(incident: IncidentDetail, todos: Todo[]): Promise<boolean> {
  return attempt('Could not save the action items', say(incident, 'remediation', (one) => one.remediation.follow_ups ?? [], { follow_ups: todos }))
}

export interface NewSilence { matchers: Matcher[]; ends_at_ms: number; comment: string }

/** Throws what the server says against it. */
export async function silence(wanted: NewSilence): Promise<void> {
  const made = await post<SilenceRow>('/silences', wanted)
  toasts.say(`Silenced until ${clock(wanted.ends_at_ms, live.now, router.zone)}`, async () => void (await remove(`/silences/${made.id}`)))
}

/** Alertmanager's rule: other matchers end this one and begin another. Throws 412 when somebody changed it first. */
export async function changeSilence(row: SilenceRow, wanted: NewSilence, etag: string): Promise<void> {
  const { starts_at_ms, matchers, ends_at_ms, comment } = row
  const made = await post<SilenceRow>('/silences', { ...wanted, id: row.id, starts_at_ms }, undefined, etag)
  const undo = async () => void (await post('/silences', { id: made.id, matchers, starts_at_ms, ends_at_ms, comment }))
  toasts.say(made.id === row.id ? `Silence changed: until ${clock(made.ends_at_ms, live.now, router.zone)}` : 'A new silence stands for the old one', undo)
}

/** An hour more: what takes longer than planned at 3 am. */
export function extendSilence(row: SilenceRow): Promise<boolean> {
  const { id, matchers, starts_at_ms, ends_at_ms, comment } = row
  let longer: SilenceRow | null = null
  const later = Math.round(Math.max(ends_at_ms, live.now)) + 3_600_000
  const work = async () => (longer = await post<SilenceRow>('/silences', { id, matchers, starts_at_ms, ends_at_ms: later, comment }, undefined, row.etag))
  const undo = async () => void (await post('/silences', { id, matchers, starts_at_ms, ends_at_ms, comment }, undefined, longer?.etag ?? ''))
  return attempt('Could not extend the silence', work, `Silenced until ${clock(later, live.now, router.zone)}`, undo)
}

export function expireSilence(row: SilenceRow): Promise<boolean> {
  const { matchers, ends_at_ms, comment } = row
  const undo = async () => void (await post('/silences', { matchers, ends_at_ms, comment }))
  return attempt('Could not end the silence', () => remove(`/silences/${row.id}`, row.etag), 'Silence ended', undo)
}

export function pauseCheck(check: CheckDetail): Promise<boolean> {
  const paused = check.state === 'paused'
  const address = `/checks/${encodeURIComponent(check.id)}`
  const undo = async () => void (await post(`${address}/${paused ? 'pause' : 'resume'}`))
  const work = () => post(`${address}/${paused ? 'resume' : 'pause'}`, {}, undefined, check.etag)
  return attempt(`Could not ${paused ? 'resume' : 'pause'} ${check.name}`, work, `${check.name} ${paused ? 'resumed' : 'paused'}`, undo)
}
