// GET /self: what is there is shown; an older or newer Tocsin may say less or more.

import type { Problem } from './api'

export interface SelfState {
  processes: { name: string; pid: number; started_ms: number; restarts: number; lag_ms: number; rss_bytes: number }[]
  collectors?: { name: string; state: string; last_ms: number; error: string }[]
  facts?: string[]
  problems?: string[]
  config: { files: string[]; problems: Problem[]; loaded_ms: number }
}
