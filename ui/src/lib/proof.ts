// "Is my pager alive?" from GET /self, as one verdict and its reasons. Answers of POST /selftest and /drill.

import { duration } from './format'
import type { Look } from './status'

export interface Hop { name: string; ok: boolean; text: string }
export interface DeadMan { configured: boolean; every_ms: number; called_ms: number; trouble: string }
export interface Way { lane: string; channel: string; through: string; notification: string; drilled_ms: number; state: string; reason: string; proven_ms: number; unproven: boolean }
export interface ProofState { path?: Hop[]; dead_man?: DeadMan; ways?: Way[]; counts?: { open: number; waiting: number; failed: number }; drill?: boolean; problems?: string[] }
export interface SelfTest { ok: boolean; to: string; incident: number; hops: { name: string; ok: boolean; t_ms: number; after_ms: number; text: string }[] }

const LOST = new Set(['failed', 'expired'])
const UNDER_WAY = new Set(['pending', 'sending', 'held'])
/** A call that is later than this many periods is a call that did not come. */
const LATE = 3

export interface Reason { look: Look; text: string }

export function deadManLook(dead: DeadMan | undefined, now_ms: number): Look {
  if (!dead?.configured) return 'unknown'
  if (dead.trouble) return 'critical'
  if (!dead.called_ms) return 'pending'
  return now_ms - dead.called_ms > LATE * dead.every_ms ? 'critical' : 'ok'
}

export function wayLook(way: Way): Look {
  if (way.unproven || (LOST.has(way.state) && way.proven_ms < way.drilled_ms)) return 'critical'
  // A reason while it is under way is an attempt that failed.
  if (UNDER_WAY.has(way.state) && way.drilled_ms > way.proven_ms) return way.reason && way.state !== 'held' ? 'warning' : 'pending'
  return way.proven_ms ? 'ok' : 'unknown'
}

export function wayWord(way: Way, now_ms: number): string {
  const proven = way.proven_ms ? `proven ${duration(now_ms - way.proven_ms)} ago` : 'never proven'
  if (LOST.has(way.state) && way.proven_ms < way.drilled_ms) return `its drill ${way.state}; ${proven}`
  if (UNDER_WAY.has(way.state) && way.drilled_ms > way.proven_ms) return `drill ${way.state === 'held' ? 'held back' : way.reason ? 'failed so far, tried again' : 'under way'}; ${proven}`
  return proven
}

/** What speaks against the pager, worst first; nothing = it is alive as far as anybody knows. */
export function against(state: ProofState, now_ms: number): Reason[] {
  const found: Reason[] = (state.path ?? []).filter((hop) => !hop.ok).map((hop) => ({ look: 'critical' as Look, text: `${hop.name}: ${hop.text}` }))
  const ways = state.ways ?? []
  for (const way of ways) if (wayLook(way) === 'critical') found.push({ look: 'critical', text: `${way.lane}: ${way.reason || wayWord(way, now_ms)}` })
  if (state.ways && !ways.length) found.push({ look: 'critical', text: 'nobody can be reached: no person and no receiver has an address' })
  if (deadManLook(state.dead_man, now_ms) === 'critical') found.push({ look: 'critical', text: `dead man's switch: ${state.dead_man?.trouble || 'the calls have stopped'}` })
  if (state.counts?.failed) found.push({ look: 'warning', text: `${state.counts.failed} message${state.counts.failed === 1 ? '' : 's'} failed in the last day` })
  if (state.dead_man && !state.dead_man.configured) found.push({ look: 'warning', text: "no dead man's switch: if this machine dies, nobody hears of it" })
  for (const way of ways) if (wayLook(way) === 'warning') found.push({ look: 'warning', text: `${way.lane}: ${wayWord(way, now_ms)}: ${way.reason}` })
  const never = ways.filter((way) => !way.proven_ms && ['unknown', 'pending'].includes(wayLook(way)))
  if (never.length) found.push({ look: 'warning', text: `${never.map((way) => way.lane).join(', ')}: never proven; a drill would tell` })
  return found
}

export function verdict(reasons: Reason[]): { look: Look; title: string } {
  if (reasons.some((one) => one.look === 'critical')) return { look: 'critical', title: 'A page may not arrive' }
  if (reasons.length) return { look: 'warning', title: 'Pages pass, with something unproven' }
  return { look: 'ok', title: 'The pager is alive' }
}

export const HOPS: Record<string, string> = { sample: 'Sample', rule: 'Rule', alert: 'Alert', incident: 'Incident', outbox: 'Outbox', channel: 'Channel', end: 'End' }

/** "+1.386 s": since the hop before, which is where time is lost. */
export function steps(hops: SelfTest['hops']): { after: string; took_ms: number }[] {
  let before = 0
  return hops.map((hop) => {
    const took_ms = hop.ok || hop.t_ms ? Math.max(0, hop.after_ms - before) : 0
    if (hop.t_ms) before = hop.after_ms
    return { after: hop.t_ms ? `${(hop.after_ms / 1000).toFixed(3)} s` : '', took_ms }
  })
}
