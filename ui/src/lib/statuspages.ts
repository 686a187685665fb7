// GET /status-pages: public status pages as responders work on them.

export type StoryState = 'investigating' | 'identified' | 'monitoring' | 'resolved'
export type ComponentState = 'operational' | 'degraded' | 'down' | 'maintenance'
export interface UpdateRow { id: number; state: StoryState; title: string; text: string; t_ms: number; edited_ms: number; components: Record<string, ComponentState>; incident: number; story: number; etag: string }
export interface StoryRow { title: string; state: StoryState; open: boolean; incident: number; story: number; updates: UpdateRow[] }
export interface StatusPageRow {
  slug: string
  title: string
  url: string
  mails: boolean
  webhooks: boolean
  followers: number
  components: { name: string; state: string }[]
  stories: StoryRow[]
  planned: { text: string; components: string[]; start_ms: number; end_ms: number }[]
}

/** How visitors may follow it: "mail or webhook". */
export const ways = (page: Pick<StatusPageRow, 'mails' | 'webhooks'>): string => [page.mails && 'mail', page.webhooks && 'webhook'].filter(Boolean).join(' or ')

export const STATES: { id: StoryState; label: string; text: string }[] = [
  { id: 'investigating', label: 'Investigating', text: 'We are seeing problems with {it} and are looking into them.' },
  { id: 'identified', label: 'Identified', text: 'We know the cause of the problems with {it} and are working on it.' },
  { id: 'monitoring', label: 'Monitoring', text: 'A fix for {it} is in place. We are watching whether it holds.' },
  { id: 'resolved', label: 'Resolved', text: 'The problems with {it} are over. We are sorry for the trouble.' },
]
export const COMPONENT_STATES: { id: ComponentState; label: string }[] = [
  { id: 'operational', label: 'operational' },
  { id: 'degraded', label: 'degraded' },
  { id: 'down', label: 'down' },
  { id: 'maintenance', label: 'in maintenance' },
]

/** What to write first; a person who has changed it is not written over. */
export function template(state: StoryState, components: Record<string, ComponentState>): string {
  const names = Object.keys(components)
  const it = names.length === 0 ? 'our service' : names.length === 1 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
  return (STATES.find((one) => one.id === state)?.text ?? '').replace('{it}', it)
}

export function isTemplate(text: string, components: Record<string, ComponentState>): boolean {
  return text.trim() === '' || STATES.some((one) => template(one.id, components) === text)
}

/** The state that comes next in an ordinary story. */
export function nextState(state: StoryState): StoryState {
  const index = STATES.findIndex((one) => one.id === state)
  return STATES[Math.min(index + 1, STATES.length - 1)]?.id ?? 'resolved'
}

/** Of a story that ends, what was said of components is taken back. */
export function saidNext(state: StoryState, said: Record<string, ComponentState>): Record<string, ComponentState> {
  return state === 'resolved' ? Object.fromEntries(Object.keys(said).map((name) => [name, 'operational' as ComponentState])) : { ...said }
}

export const storyLook = (state: StoryState) => (state === 'resolved' ? 'ok' : state === 'monitoring' ? 'info' : 'warning') as 'ok' | 'info' | 'warning'
export const componentLook = (state: string) => ({ up: 'ok', degraded: 'warning', down: 'critical', paused: 'maintenance' })[state] as 'ok' | 'warning' | 'critical' | 'maintenance' | undefined
