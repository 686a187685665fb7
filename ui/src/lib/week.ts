// A week of a schedule, drawn in the zone of the reader: days have 23, 24 or 25 hours. Nothing here reads a clock.

export interface Shift { start: string; end: string; users: string[] }
export interface Piece { start_ms: number; end_ms: number; users: string[] } // nobody = a gap
export interface Day { start_ms: number; end_ms: number; pieces: Piece[] }

/** GET /schedules/{name}/shifts: the list, or an answer around it. */
export function piecesOf(answer: Shift[] | { shifts: Shift[] }): Piece[] {
  const shifts = Array.isArray(answer) ? answer : (answer.shifts ?? [])
  return shifts.map((one) => ({ start_ms: Date.parse(one.start), end_ms: Date.parse(one.end), users: one.users }))
}

/** Who and nobody, without a hole, from `from_ms` to `to_ms`; turns of the same people that follow each other are one. */
export function covered(shifts: Piece[], from_ms: number, to_ms: number): Piece[] {
  const inside = shifts
    .map((one) => ({ users: one.users, start_ms: Math.max(one.start_ms, from_ms), end_ms: Math.min(one.end_ms, to_ms) }))
    .filter((one) => one.start_ms < one.end_ms)
    .sort((a, b) => a.start_ms - b.start_ms || a.end_ms - b.end_ms)
  const pieces: Piece[] = []
  let reached = from_ms
  for (const one of inside) {
    if (one.start_ms > reached) pieces.push({ start_ms: reached, end_ms: one.start_ms, users: [] })
    const last = pieces.at(-1)
    if (last?.end_ms === one.start_ms && last.users.join() === one.users.join()) last.end_ms = one.end_ms
    else pieces.push(one)
    reached = Math.max(reached, one.end_ms)
  }
  if (reached < to_ms) pieces.push({ start_ms: reached, end_ms: to_ms, users: [] })
  return pieces
}

/** `bounds`: the midnights, one more than days. */
export function daysOf(shifts: Piece[], bounds: number[]): Day[] {
  return bounds.slice(0, -1).map((start_ms, i) => {
    const end_ms = bounds[i + 1] ?? start_ms
    return { start_ms, end_ms, pieces: covered(shifts, start_ms, end_ms) }
  })
}

export function gapsOf(shifts: Piece[], from_ms: number, to_ms: number): Piece[] {
  return covered(shifts, from_ms, to_ms).filter((one) => one.users.length === 0)
}

const DAY_MS = 86_400_000

/** The wall clock of `zone` as if it were UTC. */
function wall(t_ms: number, zone: string | undefined): number {
  const options: Intl.DateTimeFormatOptions = { hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZone: zone }
  const parts = Object.fromEntries(new Intl.DateTimeFormat('en-GB', options).formatToParts(t_ms).map((part) => [part.type, Number(part.value)])) as Record<string, number>
  return Date.UTC(parts.year ?? 0, (parts.month ?? 1) - 1, parts.day, parts.hour, parts.minute, parts.second)
}

/** The instant at which the clock of `zone` shows this; an hour that does not exist is the one after, one that is there twice the first. */
function unwall(shown_ms: number, zone: string | undefined): number {
  const before = shown_ms - (wall(shown_ms - DAY_MS, zone) - (shown_ms - DAY_MS))
  const after = shown_ms - (wall(shown_ms + DAY_MS, zone) - (shown_ms + DAY_MS))
  return wall(before, zone) === shown_ms ? before : wall(after, zone) === shown_ms ? after : before
}

/** "2026-W47" of an instant (ISO 8601: weeks start on Monday, the first has the year's first Thursday). */
export function weekOf(t_ms: number, zone: string | undefined): string {
  return weekName(wall(t_ms, zone))
}

function weekName(shown_ms: number): string {
  const monday = mondayOf(shown_ms)
  const year = new Date(monday + 3 * DAY_MS).getUTCFullYear()
  const first = mondayOf(Date.UTC(year, 0, 4))
  return `${year}-W${String(Math.round((monday - first) / (7 * DAY_MS)) + 1).padStart(2, '0')}`
}

function mondayOf(shown_ms: number): number {
  const day = Math.floor(shown_ms / DAY_MS)
  return (day - ((day + 3) % 7)) * DAY_MS // 1 January 1970 was a Thursday
}

/** The eight midnights of a week; null when it is not the name of one. */
export function midnights(week: string, zone: string | undefined): number[] | null {
  const monday = mondayNamed(week)
  return monday === null ? null : Array.from({ length: 8 }, (_, i) => unwall(monday + i * DAY_MS, zone))
}

export function weekAfter(week: string, count: number): string {
  const monday = mondayNamed(week)
  return monday === null ? week : weekName(monday + count * 7 * DAY_MS)
}

function mondayNamed(week: string): number | null {
  const found = /^(\d{4})-W(\d{2})$/.exec(week)
  if (!found || Number(found[2]) < 1 || Number(found[2]) > 53) return null
  return mondayOf(Date.UTC(Number(found[1]), 0, 4)) + (Number(found[2]) - 1) * 7 * DAY_MS
}

/** For <input type="datetime-local">. */
export function localText(t_ms: number, zone: string | undefined): string {
  return new Date(wall(t_ms, zone)).toISOString().slice(0, 16)
}

export function localInstant(text: string, zone: string | undefined): number | null {
  const shown_ms = Date.parse(`${text}Z`)
  return Number.isNaN(shown_ms) ? null : unwall(shown_ms, zone)
}

/** "08:00", and "24:00" at the end of a day. */
export function hour(t_ms: number, zone: string | undefined, ends = false): string {
  const text = localText(t_ms, zone).slice(11)
  return ends && text === '00:00' ? '24:00' : text
}

/** Half an hour: as fine as a drag over a day can be, and as coarse as people hand over. */
const STEP_MS = 1_800_000

/** The instant under a pointer, `share` (0..1) of a day's lane; on a whole half hour of that day. */
export function snapped(day: { start_ms: number; end_ms: number }, share: number): number {
  const within = Math.min(1, Math.max(0, share)) * (day.end_ms - day.start_ms)
  return Math.min(day.end_ms, day.start_ms + Math.round(within / STEP_MS) * STEP_MS)
}

/** What is drawn of a span inside a day, as per cent of its lane; null = nothing of it. */
export function within(span: { start_ms: number; end_ms: number }, day: { start_ms: number; end_ms: number }): { left: number; width: number } | null {
  const [from, to] = [Math.max(span.start_ms, day.start_ms), Math.min(span.end_ms, day.end_ms)]
  const whole = (day.end_ms - day.start_ms) / 100
  return from < to ? { left: (from - day.start_ms) / whole, width: (to - from) / whole } : null
}

/** A turn of one's own that somebody else may take: what is left of it, and who shares it. */
export interface Turn { schedule: string; start_ms: number; end_ms: number; others: string[] }

/** The turns of `me` from now on, the next first; what follows itself is one turn. */
export function turnsOf(me: string, schedules: { schedule: string; pieces: Piece[] }[], now_ms: number): Turn[] {
  return schedules
    .flatMap(({ schedule, pieces }) =>
      pieces
        .filter((one) => one.users.includes(me) && one.end_ms > now_ms)
        .map((one) => ({ schedule, start_ms: Math.max(one.start_ms, now_ms), end_ms: one.end_ms, others: one.users.filter((name) => name !== me) })),
    )
    .sort((a, b) => a.start_ms - b.start_ms || a.schedule.localeCompare(b.schedule))
}
