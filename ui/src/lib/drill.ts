// "Break it": a heartbeat of our own that reports a failure and then recovers. Nothing real is touched; everything after it is: rule, page, message.

import type { CheckRow, IncidentDetail, IncidentRow } from './api'
import { absolute } from './base'
import { get, post, remove } from './client'

export const NAME = 'Break it (drill)'

export interface Drill { id: string; token: string }

export function newToken(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

export async function breakIt(): Promise<Drill> {
  const token = newToken(crypto.getRandomValues(new Uint8Array(16)))
  const check = await post<CheckRow>('/checks', { type: 'heartbeat', name: NAME, settings: { period: '1h', grace: '1m', token }, labels: { drill: 'yes' } })
  await ping(token, '/fail')
  return { id: check.id, token }
}

export async function mendIt(drill: Drill): Promise<void> {
  await ping(drill.token, '')
}

export async function removeIt(drill: Drill): Promise<void> {
  await remove(`/checks/${encodeURIComponent(drill.id)}`)
}

async function ping(token: string, how: string): Promise<void> {
  const answer = await fetch(absolute(`/hb/${token}${how}`), { method: 'POST' })
  if (!answer.ok) throw new Error(`the heartbeat answered ${answer.status}`)
}

/** The incident of the drill that began at `since_ms`, with its messages; null = not yet. */
export async function incidentOf(since_ms: number): Promise<IncidentDetail | null> {
  const { incidents } = await get<{ incidents: IncidentRow[] }>(`/incidents?state=all&q=${encodeURIComponent(NAME)}`)
  const newest = incidents.filter((one) => one.created_ms >= since_ms).sort((a, b) => b.created_ms - a.created_ms)[0]
  return newest ? get<IncidentDetail>(`/incidents/${newest.number}`) : null
}
