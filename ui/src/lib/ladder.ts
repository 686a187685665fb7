// An escalation policy as rungs, each with who would be paged now; and where an open incident stands on it. Nothing here reads a clock.

import type { IncidentDetail } from './api'
import type { OnCallState, PolicyState } from './oncall'

/** One target of a step: how it is called, and the people behind it at this moment. `until_ms`: when they change, 0 = not known. */
export interface Aim { text: string; schedule: string; who: string[]; until_ms: number; place: boolean }
/** `after_ms`: since the first page, when nobody answers. `wait_ms`: for an answer, until the next rung. */
export interface Rung { index: number; after_ms: number; wait_ms: number; aims: Aim[] }
/** `at`: the rung that was paged last, -1 = none yet. `next`: the one that comes, `FINAL` = the last resort, -1 = none. */
export interface Standing { number: number; at: number; next: number; next_at_ms: number; state: IncidentDetail['state']; by: string }

export const FINAL = -2

type Duty = Pick<OnCallState, 'schedules' | 'people'> | null

export function rungs(policy: PolicyState, duty: Duty): Rung[] {
  let after_ms = 0
  return policy.steps.map((step, index) => {
    const rung = { index, after_ms, wait_ms: step.delay_ms, aims: step.targets.map((target) => aim(target, duty)) }
    after_ms += step.delay_ms
    return rung
  })
}

/** How long one pass over all rungs takes. */
export const roundMs = (policy: PolicyState): number => policy.steps.reduce((sum, step) => sum + step.delay_ms, 0)

/** `ana`, `schedule:web`, `team:web`, `receiver:ops`: who that is now. A place (a chat room) is nobody. */
export function aim(target: string, duty: Duty): Aim {
  const found = /^(schedule|team|receiver|destination|round_robin|user):(.*)$/s.exec(target)
  const [kind, name] = found ? [found[1] ?? '', found[2] ?? ''] : ['user', target]
  const known = { text: kind === 'user' ? name : `${kind.replace('_', ' ')} ${name}`, schedule: '', until_ms: 0, place: false }
  if (kind === 'schedule') {
    const held = duty?.schedules.find((one) => one.schedule === name)
    return { ...known, schedule: name, who: held?.who ?? [], until_ms: held?.until_ms ?? 0 }
  }
  if (kind === 'team') return { ...known, who: (duty?.people ?? []).filter((one) => one.teams?.includes(name)).map((one) => one.name) }
  if (kind === 'user') return { ...known, who: [name] }
  return { ...known, who: [], place: true }
}

/** Nobody would hear of this rung at the moment: it is skipped without its delay. */
export function reachesNobody(rung: Rung): boolean {
  return rung.aims.every((one) => !one.place && one.who.length === 0)
}

export function standing(incident: IncidentDetail): Standing {
  const steps = incident.policy_steps
  const last = steps.reduce<(typeof steps)[number] | null>((best, step) => (step.executed_ms > (best?.executed_ms ?? 0) ? step : best), null)
  const at = last?.index ?? -1
  const climbs = incident.next_escalation_at_ms > 0 && incident.state === 'triggered'
  // After the last rung it begins again, or the last resort is told: who is next tells which.
  const first = steps[0]?.targets.map((one) => one.replace(':', ' ')).join(', ')
  const next = !climbs ? -1 : at + 1 < steps.length ? at + 1 : incident.next_escalation_to === first ? 0 : FINAL
  return { number: incident.number, at, next, next_at_ms: climbs ? incident.next_escalation_at_ms : 0, state: incident.state, by: incident.acknowledged_by }
}
