// Who is signed in, and what this Tocsin is; fetched once, before anything is drawn.

import type { Role, Session } from './api'
import { get, useCsrf } from './client'
import { router } from './router.svelte'

const RANK: Record<Role, number> = { viewer: 0, responder: 1, admin: 2 }

class Current {
  value = $state.raw<Session | null>(null)

  async load(): Promise<Session> {
    const session = await get<Session>('/session')
    useCsrf(session.csrf)
    this.value = session
    return session
  }
  get severities(): string[] {
    return this.value?.severities ?? []
  }
  get name(): string {
    return this.value?.user.name ?? ''
  }
  /** May this user act as `role`? The server decides; this only hides what it would refuse. Nobody acts on the past. */
  may(role: Role): boolean {
    return !router.at && RANK[this.value?.user.role ?? 'viewer'] >= RANK[role]
  }
}

export const session = new Current()
