// What comes for the schedules: the next hand-offs, hours that nobody holds, who carried how much. Instants of the API are RFC 3339.

import { get } from './client'
import type { Fairness } from './oncall'

const DAY_MS = 86_400_000
export const AHEAD_DAYS = 30

export interface HandOver { schedule: string; at_ms: number; before: string[]; after: string[] }
export interface Hole { schedule: string; start_ms: number; end_ms: number }
export interface Load extends Fairness { schedule: string }
interface Changes { changes: { at: string; before: string[]; after: string[] }[] }
interface Gaps { gaps: { start: string; end: string }[] }

const of = (schedule: string, question: string, from_ms: number, until_ms: number) =>
  `/schedules/${encodeURIComponent(schedule)}/${question}?from=${new Date(from_ms).toISOString()}&until=${new Date(until_ms).toISOString()}`

/** Everybody's hand-offs in one list, the next first. */
export function merged(answers: { schedule: string; answer: Changes }[]): HandOver[] {
  return answers
    .flatMap(({ schedule, answer }) => answer.changes.map((one) => ({ schedule, at_ms: Date.parse(one.at), before: one.before, after: one.after })))
    .sort((a, b) => a.at_ms - b.at_ms || a.schedule.localeCompare(b.schedule))
}

export function holes(answers: { schedule: string; answer: Gaps }[]): Hole[] {
  return answers.flatMap(({ schedule, answer }) => answer.gaps.map((one) => ({ schedule, start_ms: Date.parse(one.start), end_ms: Date.parse(one.end) }))).sort((a, b) => a.start_ms - b.start_ms)
}

export async function lookAhead(schedules: string[], now_ms: number, signal: AbortSignal): Promise<{ changes: HandOver[]; gaps: Hole[] }> {
  const until_ms = now_ms + AHEAD_DAYS * DAY_MS
  const ask = <T>(question: string) => Promise.all(schedules.map(async (schedule) => ({ schedule, answer: await get<T>(of(schedule, question, now_ms, until_ms), signal) })))
  const [changes, gaps] = await Promise.all([ask<Changes>('changes'), ask<Gaps>('gaps')])
  return { changes: merged(changes), gaps: holes(gaps) }
}

/** Loads of the days behind (`days` < 0) or ahead. */
export async function loads(schedules: string[], now_ms: number, days: number, signal: AbortSignal): Promise<Load[]> {
  const other = now_ms + days * DAY_MS
  return Promise.all(schedules.map(async (schedule) => ({ schedule, ...(await get<Fairness>(of(schedule, 'fairness', Math.min(now_ms, other), Math.max(now_ms, other)), signal)) })))
}

/** What a hand-off does, in words: only who comes and who goes, not who stays. */
export function handWords(one: Pick<HandOver, 'before' | 'after'>): string {
  const comes = one.after.filter((name) => !one.before.includes(name))
  const goes = one.before.filter((name) => !one.after.includes(name))
  if (!one.after.length) return `${goes.join(', ')} goes, nobody comes`
  if (!goes.length) return `${comes.join(', ')} ${comes.length === 1 ? 'comes' : 'come'}`
  return comes.length ? `${comes.join(', ')} from ${goes.join(', ')}` : `${goes.join(', ')} ${goes.length === 1 ? 'goes' : 'go'}`
}

/** What reached a person in a time: all pages, and those that came while asleep. */
export interface Paged { who: string; pages: number; sleep: number }

export async function pagesOf(now_ms: number, days: number, signal: AbortSignal): Promise<Record<string, Paged>> {
  const [from, to] = [now_ms + days * DAY_MS, now_ms].map((t_ms) => new Date(t_ms).toISOString())
  const found = await get<{ people: Paged[] }>(`/analytics?from=${from}&to=${to}`, signal)
  return Object.fromEntries(found.people.map((one) => [one.who, one]))
}
