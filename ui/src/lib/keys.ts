// Keyboard: one table, shown by `?`. Nothing is taken while a person types or a dialog is open, and nothing with Ctrl, Alt or Meta except Ctrl-K.

export interface Key { keys: string; what: string; group: 'Go to' | 'On lists' | 'On an incident' | 'Time and view' }

export const PLACES: Record<string, string> = { o: '/', a: '/alerts', i: '/incidents', s: '/services', c: '/checks', e: '/explore', h: '/hosts', d: '/dashboards', r: '/reports', n: '/oncall', u: '/rules', m: '/notifications' }

export const KEYS: Key[] = [
  { keys: '/ or Ctrl K', what: 'Search', group: 'Go to' },
  { keys: 'g o', what: 'Overview', group: 'Go to' },
  { keys: 'g a', what: 'Alerts', group: 'Go to' },
  { keys: 'g i', what: 'Incidents', group: 'Go to' },
  { keys: 'g s', what: 'Services', group: 'Go to' },
  { keys: 'g c', what: 'Checks', group: 'Go to' },
  { keys: 'g e', what: 'Explore', group: 'Go to' },
  { keys: 'g h', what: 'Hosts', group: 'Go to' },
  { keys: 'g d', what: 'Dashboards', group: 'Go to' },
  { keys: 'g r', what: 'Reports', group: 'Go to' },
  { keys: 'g n', what: 'On-call (on duty now)', group: 'Go to' },
  { keys: 'g u', what: 'Rules', group: 'Go to' },
  { keys: 'g m', what: 'Notifications (messages)', group: 'Go to' },
  { keys: 'j  k', what: 'Next, previous row', group: 'On lists' },
  { keys: 'Enter', what: 'Open the row', group: 'On lists' },
  { keys: 'x', what: 'Select the row', group: 'On lists' },
  { keys: 'a', what: 'Acknowledge', group: 'On an incident' },
  { keys: 's', what: 'Silence', group: 'On an incident' },
  { keys: 'e', what: 'Escalate', group: 'On an incident' },
  { keys: 'n', what: 'Note', group: 'On an incident' },
  { keys: 'u', what: 'Undo, for ten seconds', group: 'On an incident' },
  { keys: 't', what: 'Choose the time range', group: 'Time and view' },
  { keys: '[  ]', what: 'Earlier, later', group: 'Time and view' },
  { keys: '+  -', what: 'Zoom in, out', group: 'Time and view' },
  { keys: '0', what: 'Back to the last hour', group: 'Time and view' },
  { keys: 'z', what: 'Times in UTC, and back', group: 'Time and view' },
  { keys: 'c', what: 'Compare with the day, the week before', group: 'Time and view' },
  { keys: 'l', what: 'Freeze, go on', group: 'Time and view' },
  { keys: 'y', what: 'Copy link', group: 'Time and view' },
  { keys: 'f', what: 'Wallboard', group: 'Time and view' },
  { keys: 'Esc', what: 'Close', group: 'Time and view' },
  { keys: '?', what: 'These keys', group: 'Time and view' },
]

export type Press = { go: string } | { act: string } | null

/** `before` is the key just before when it was `g`. Pure: what a key means, not what is done about it. */
export function meaning(key: string, before: string): Press {
  if (before === 'g') return PLACES[key] ? { go: PLACES[key] } : null
  return /^[jkxasenutclyfz?/0+\-[\]]$/.test(key) || key === 'Enter' ? { act: key } : null
}

/** `target` is where the event began: `event.composedPath()[0]`, or a box inside a shadow root would look like an ordinary element. */
export function typing(target: EventTarget | null | undefined): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}
