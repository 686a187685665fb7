// Lines of the timeline: who, and how loud.

const BAD = new Set(['fired', 'joined', 'triggered', 'opened', 'escalated', 'failed', 'undeliverable', 'not_notified', 'notification_failed', 'reopened', 'exhausted'])
const BY_PEOPLE = new Set(['acknowledged', 'unacknowledged', 'resolved', 'snoozed', 'noted', 'note', 'silenced', 'assigned', 'verdict', 'remediated', 'judged', 'published', 'withdrawn', 'marked'])

export function tone(verb: string): 'person' | 'bad' | 'plain' {
  if (BAD.has(verb)) return 'bad'
  return BY_PEOPLE.has(verb) ? 'person' : 'plain'
}

/** Who, and why, as far as the line does not say it itself. */
export function byLine(entry: { actor: string; cause: string; text: string }): string {
  if (entry.actor === 'system:alerts' || entry.actor === 'system:marks') return ''
  const name = actorName(entry.actor).replace(/ \(.*\)$/, '')
  const cause = entry.cause.replace(/_/g, ' ')
  const said = entry.text.toLowerCase()
  return [said.startsWith(name.toLowerCase()) ? '' : name, said.includes(cause.toLowerCase()) ? '' : cause].filter(Boolean).join(' · ')
}

/** `user:ana` -> "ana", `system:escalate` -> "Tocsin (escalate)", `integration:slack` -> "slack". */
export function actorName(actor: string): string {
  const [kind, ...rest] = actor.split(':')
  const name = rest.join(':')
  if (kind === 'system') return name === 'tocsin' ? 'Tocsin' : `Tocsin (${name})`
  return name || actor
}
