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

/** What is in the boxes of the form. */
export interface RemediationForm { action: string; summary: string; cause: string; held: string }

export function formOf(one: Remediation): RemediationForm {
  return { action: one.action, summary: one.summary, cause: one.cause, held: one.held === null ? '' : one.held ? 'yes' : 'no' }
}

/** Half a report that was kept, and what it was begun from; null = there is none, or another version wrote it. */
export function draftOf(text: string): { form: RemediationForm; from: string } | null {
  try {
    const { action, summary, cause, held, from } = JSON.parse(text) as Record<string, unknown>
    const as = (value: unknown) => (typeof value === 'string' ? value : '')
    return { form: { action: as(action), summary: as(summary), cause: as(cause), held: as(held) }, from: as(from) }
  } catch {
    return null
  }
}
