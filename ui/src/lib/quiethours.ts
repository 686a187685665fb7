// GET /me/quiet-hours, GET /people/{person}/quiet-hours. `source` '' = there are none; 'file' = changed in the configuration only.
import type { QuietHours } from './oncall'

export interface OwnQuietHours { person: string; time_zone: string; severities: string[]; source: '' | 'own' | 'file'; hours: QuietHours | null; etag: string }
export interface QuietForm { from: string; to: string; allDay: boolean; days: string[]; time_zone: string; allow: string[] }

export const DAYS: readonly (readonly [string, string])[] = [['mon', 'Mon'], ['tue', 'Tue'], ['wed', 'Wed'], ['thu', 'Thu'], ['fri', 'Fri'], ['sat', 'Sat'], ['sun', 'Sun']]
const names = new Map(DAYS)

/** A form with what is stored, or with a usual night where there is nothing yet. */
export function formOf(stored: OwnQuietHours): QuietForm {
  const hours = stored.hours
  const allDay = hours?.from === '00:00' && hours.to === '24:00'
  const allow = hours ? [...hours.allow] : stored.severities.slice(-1)
  const times = hours && !allDay ? { from: hours.from, to: hours.to === '24:00' ? '00:00' : hours.to } : { from: '22:00', to: '07:00' }
  return { ...times, allDay, days: [...(hours?.days ?? [])], time_zone: hours?.time_zone ?? stored.time_zone, allow }
}

/** What PUT takes. */
export function bodyOf(form: QuietForm): object {
  const times = form.allDay ? { from: '00:00', to: '24:00' } : { from: form.from, to: form.to }
  return { ...times, days: DAYS.map(([day]) => day).filter((day) => form.days.includes(day)), time_zone: form.time_zone, allow: form.allow }
}

/** Why the form cannot be saved; '' = it can. */
export function wrongWith(form: QuietForm): string {
  if (form.allDay) return form.days.length % 7 ? '' : 'All day on every day never ends: choose the days.'
  if (!form.from || !form.to) return 'Say when they begin and when they end.'
  return form.from === form.to ? 'They begin and end at the same minute.' : ''
}

/** "on Sat and Sun"; "Mon to Fri"; '' = every day. */
export function dayWords(days: string[] = []): string {
  const found = DAYS.map(([day]) => day).filter((day) => days.includes(day))
  if (found.length % 7 === 0) return ''
  const first = DAYS.findIndex(([day]) => day === found[0])
  const inARow = found.every((day, place) => DAYS[first + place]?.[0] === day)
  const shown = found.map((day) => names.get(day) ?? day)
  if (inARow && found.length > 2) return `${shown[0]} to ${shown.at(-1)}`
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : (shown[0] ?? '')
}
