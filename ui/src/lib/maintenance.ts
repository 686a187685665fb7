// GET /maintenance: planned work. A window of the dashboard is an entry of `maintenance` as it would stand in the file.

export interface WindowSpec { name: string; matchers: string[]; start: string; end?: string; duration?: string; rrule?: string; time_zone: string; comment: string; public: string }
export interface Occurrence { start_ms: number; end_ms: number }
export interface MaintenanceRow {
  id: string // '' = it stands in the file
  name: string
  matchers: string[]
  comment: string
  public: string
  time_zone: string
  recurring: boolean
  duration_ms: number
  active: boolean
  start_ms: number
  end_ms: number
  upcoming: Occurrence[]
  matching_now: number
  created_by: string
  window: Partial<WindowSpec>
  etag: string
}

export const REPEATS = [
  { id: '', label: 'Once' },
  { id: 'FREQ=DAILY', label: 'Every day' },
  { id: 'FREQ=WEEKLY', label: 'Every week on that day' },
  { id: 'FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR', label: 'Every working day' },
  { id: 'FREQ=MONTHLY', label: 'Every month on that date' },
]
export const OWN = 'own'

/** Which choice a rule is; one that is none of them is shown as text. */
export const repeatOf = (rrule: string | undefined) => (REPEATS.some((one) => one.id === (rrule ?? '')) ? (rrule ?? '') : OWN)

/** `2026-11-22T22:00` of an input is `2026-11-22 22:00` in the file, and back. */
export const toWall = (input: string) => input.replace('T', ' ')
export const fromWall = (wall: string | undefined) => (wall ?? '').replace(' ', 'T').slice(0, 16)

/** What is sent: empty fields are left out. */
export function specOf(form: { name: string; matchers: string; start: string; duration: string; rrule: string; time_zone: string; comment: string; public: string }): WindowSpec {
  const matchers = form.matchers.split('\n').map((line) => line.trim()).filter(Boolean)
  return { name: form.name.trim(), matchers, start: toWall(form.start), duration: form.duration.trim(), time_zone: form.time_zone.trim(), comment: form.comment.trim(), public: form.public.trim(), ...(form.rrule.trim() ? { rrule: form.rrule.trim() } : {}) }
}
