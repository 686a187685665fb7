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
export interface PersonState { name: string; full_name?: string; time_zone?: string; methods?: { channel: string; address: string; verified?: boolean }[]; teams?: string[] }
export interface OnCallState { schedules: ScheduleState[]; policies: PolicyState[]; people: PersonState[] }
// GET /oncall/overrides
export interface Override { id: string; schedule: string; start_ms: number; end_ms: number; users: string[]; mode: 'set' | 'add'; created_by: string; created_ms: number }
