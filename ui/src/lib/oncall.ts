import { dayWords } from './quiethours'

// GET /oncall. Only `who` and `until_ms` are sure to be there; the rest is drawn when it is.

export interface ScheduleState {
  schedule: string
  who: string[]
  until_ms: number
  next?: string[]
  time_zone?: string
  layers?: string[]
  gaps?: { start_ms: number; end_ms: number }[]
}
export interface PolicyState { name: string; repeat?: number; steps: { targets: string[]; delay_ms: number }[]; final?: string[] }
/** `until_ms`: when they end, if they hold messages back now; else 0. `days` on which they begin, none = every day. `own`: not the file's. */
export interface QuietHours { from: string; to: string; time_zone: string; allow: string[]; days?: string[]; own?: boolean; until_ms: number }
export interface PersonState { name: string; full_name?: string; time_zone?: string; methods?: { id?: string; channel: string; address: string; verified?: boolean }[]; teams?: string[]; quiet_hours?: QuietHours | null }
export interface ReceiverState { name: string; policy: string; channels: string[] }
export interface OnCallState { schedules: ScheduleState[]; policies: PolicyState[]; people: PersonState[]; receivers?: ReceiverState[] }
// GET /oncall/overrides
export interface Override { id: string; schedule: string; start_ms: number; end_ms: number; users: string[]; mode: 'set' | 'add'; created_by: string; created_ms: number }

/** Lines for tocsin.yaml that put one person on call; the rotation is ready for others. JSON strings are YAML strings. */
export function me(name: string, email: string, zone: string): string {
  const text = (value: string) => JSON.stringify(value)
  return [
    'users:',
    `  - name: ${text(name)}`,
    `    email: ${text(email || `${name}@example.com`)}`,
    `    time_zone: ${text(zone)}`,
    'schedules:',
    '  - name: primary',
    `    time_zone: ${text(zone)}`,
    '    layers:',
    `      - {name: weekly, users: [${text(name)}], anchor: "2026-01-05T09:00", period: {unit: weeks, every: 1}}`,
    'policies:',
    '  - name: default',
    '    steps: [{notify: "schedule:primary", wait: 5m}]',
    '',
  ].join('\n')
}

// GET /schedules/{name}/month?month=2026-11
export interface Month { month: string; days: { date: string; in_month: boolean; start_ms: number; end_ms: number; segments: { start_ms: number; end_ms: number; users: string[] }[]; gap_seconds: number }[] }
// GET /schedules/{name}/fairness?from=&until=
export interface Fairness { people: { who: string; seconds: number; shifts: number; nights: number; share: number; work?: number; sleep?: number; off?: number }[]; balance: number; coverage: number }

/** "2026-11" a month before or after. */
export function monthAfter(month: string, by: number): string {
  const [year, number] = month.split('-').map(Number)
  const at = (year ?? 0) * 12 + (number ?? 1) - 1 + by
  return `${Math.floor(at / 12)}-${String((at % 12) + 1).padStart(2, '0')}`
}

export function validMonth(text: string): boolean {
  return /^\d{4}-(0[1-9]|1[0-2])$/.test(text)
}

/** "22:00 – 07:00, Mon to Fri (Europe/Paris), critical gets through". */
export function quietWords(quiet: QuietHours): string {
  const through = quiet.allow.length ? `${quiet.allow.join(', ')} ${quiet.allow.length === 1 ? 'gets' : 'get'} through` : 'nothing gets through'
  const times = quiet.from === '00:00' && quiet.to === '24:00' ? 'All day' : `${quiet.from} – ${quiet.to}`
  const days = dayWords(quiet.days)
  return `${times}${days ? `, ${days}` : ''} (${quiet.time_zone}), ${through}`
}
