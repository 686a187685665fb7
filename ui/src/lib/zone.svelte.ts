// The zone that times are written in: `tz=` of the address first, then what was chosen in this browser, then the browser's own.

const KEY = 'tocsin-zone'

/** What was chosen here before; '' = the browser's own. Every tab of the browser follows. */
class Preferred {
  zone = $state(read())

  constructor() {
    if (typeof addEventListener === 'function') addEventListener('storage', (event) => event.key === KEY && (this.zone = read()))
  }
  keep(zone: string): void {
    this.zone = known(zone) ? zone : ''
    try {
      if (this.zone) localStorage.setItem(KEY, this.zone)
      else localStorage.removeItem(KEY)
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
  }
}

export const preferred = new Preferred()

/** undefined = the browser's own. An address that names no zone there is says nothing. */
export function zoneOf(parameter: string, preference: string): string | undefined {
  if (parameter === 'browser') return undefined
  return known(parameter) ? parameter : known(preference) ? preference : undefined
}

/** What `tz=` becomes when UTC is asked for by one key, and when it is no longer. */
export function utcOrBack(parameter: string, preference: string): string | null {
  const usual = preference === 'UTC'
  if (zoneOf(parameter, preference) === 'UTC') return usual ? 'browser' : null
  return usual ? null : 'UTC'
}

/** The zone of this computer, by name. */
export const browserZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone

/** "UTC", "CET", and "+05:45" where no letters are known: what a clock of the zone is called at an instant. */
export function zoneName(t_ms: number, zone: string | undefined): string {
  const text = part(t_ms, zone, 'short')
  return /^GMT[+-]/.test(text) ? offset(text) : text
}

/** The same of a time: both names where the clocks are changed in it. */
export function zoneNames(from_ms: number, to_ms: number, zone: string | undefined): string[] {
  return [...new Set([zoneName(from_ms, zone), zoneName(to_ms, zone)])]
}

/** "Europe/Paris, UTC+01:00", to read where the short name is not enough. */
export function zoneInFull(t_ms: number, zone: string | undefined): string {
  const name = zone ?? browserZone()
  return name === 'UTC' ? name : `${name}, UTC${offset(part(t_ms, zone, 'longOffset')) || '+00:00'}`
}

/** The wall clock of a zone, as a `datetime-local` box has it. */
export function wallOf(t_ms: number, zone: string): string {
  const parts = new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).formatToParts(t_ms)
  const of = (type: string) => parts.find((one) => one.type === type)?.value ?? ''
  return `${of('year')}-${of('month')}-${of('day')}T${of('hour')}:${of('minute')}`
}

/** The instant that a `datetime-local` box says in the zone; NaN when it says none. An hour that does not exist is the one after it. */
export function instantOf(wall: string, zone: string): number {
  const shown_ms = Date.parse(`${wall}Z`)
  if (Number.isNaN(shown_ms)) return NaN
  const lead = (t_ms: number) => Date.parse(`${wallOf(t_ms, zone)}Z`) - Math.floor(t_ms / 60_000) * 60_000
  const guess = shown_ms - lead(shown_ms)
  return shown_ms - lead(guess)
}

/** `GMT-3:30` is "−03:30". */
function offset(text: string): string {
  const [, sign, hours = '', minutes = '00'] = /^GMT([+-])(\d+)(?::(\d+))?$/.exec(text) ?? []
  return sign ? `${sign === '-' ? '−' : '+'}${hours.padStart(2, '0')}:${minutes}` : ''
}

const formatters = new Map<string, Intl.DateTimeFormat>()
function part(t_ms: number, zone: string | undefined, timeZoneName: 'short' | 'longOffset'): string {
  const key = `${zone ?? ''} ${timeZoneName}`
  let formatter = formatters.get(key)
  if (!formatter) formatters.set(key, (formatter = new Intl.DateTimeFormat('en-GB', { timeZone: zone, timeZoneName })))
  return formatter.formatToParts(t_ms).find((one) => one.type === 'timeZoneName')?.value ?? ''
}

function known(zone: string): boolean {
  if (!zone) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}

function read(): string {
  try {
    return localStorage.getItem(KEY) ?? ''
  } catch {
    return ''
  }
}
