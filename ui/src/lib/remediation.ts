// What was done about an incident: GET /incidents/{n}.remediation, written by POST /incidents/{n}/remediation.

export const ACTIONS = ['rollback', 'restart', 'scale', 'config', 'other'] as const
export interface Remediation { action: string; summary: string; cause: string; held: boolean | null; by: string; at_ms: number }

/** The field is free JSON; older versions and the API may have written anything. */
export function remediationOf(stored: Record<string, unknown>): Remediation {
  const text = (name: string) => (typeof stored[name] === 'string' ? (stored[name] as string) : '')
  return { action: text('action'), summary: text('summary'), cause: text('cause'), held: typeof stored.held === 'boolean' ? stored.held : null, by: text('by'), at_ms: typeof stored.at_ms === 'number' ? stored.at_ms : 0 }
}

export function recorded(one: Remediation): boolean {
  return Boolean(one.action || one.summary || one.cause || one.held !== null)
}

/** What is posted: "did it hold" is left out until somebody knows. */
export function remediationBody(one: Pick<Remediation, 'action' | 'summary' | 'cause' | 'held'>): Record<string, unknown> {
  const { action, held } = one
  return { action, summary: one.summary.trim(), cause: one.cause.trim(), ...(held === null ? {} : { held }) }
}
