// GET /self, as the contract's comment in api.ts describes it.

import type { Problem } from './api'

export interface SelfState {
  processes: { name: string; pid: number; started_ms: number; restarts: number; lag_ms: number; rss_bytes: number }[]
  metrics: Record<string, number>
  config: { files: string[]; problems: Problem[]; loaded_ms: number }
}
