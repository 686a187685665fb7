// GET /oncall. Only `who` and `until_ms` are sure to be there; the rest is drawn when it is.

export interface Shift { start_ms: number; end_ms: number; users: string[]; layer?: string; override?: boolean }
export interface ScheduleState {
  schedule: string
  who: string[]
  until_ms: number
  next?: string[]
  time_zone?: string
  shifts?: Shift[]
  gaps?: { start_ms: number; end_ms: number }[]
}
export interface PolicyState { name: string; repeat?: number; steps: { targets: string[]; delay_ms: number }[] }
export interface PersonState { name: string; full_name?: string; time_zone?: string; methods?: { channel: string; address: string; verified?: boolean }[]; on_call?: string[] }
export interface OnCallState { schedules: ScheduleState[]; policies: PolicyState[]; people: PersonState[] }
