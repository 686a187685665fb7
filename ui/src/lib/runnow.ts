// A run of a check that somebody asked for, followed while it goes on.

import type { CheckResult } from './api'
import { ApiError, postLines } from './client'

/** What a run tells while it goes on. */
export interface RunProgress { run_id: string; location: string; doing: string; phases: { name: string; ms: number }[] }

/** Have a check run now; `progress` is told of each phase as it begins and ends. */
export async function runNow(id: string, progress: (told: RunProgress) => void = () => {}): Promise<CheckResult> {
  let result: CheckResult | null = null
  await postLines<RunProgress | { result: CheckResult }>(`/checks/${encodeURIComponent(id)}/run`, (line) => {
    if ('result' in line) result = line.result
    else progress(line)
  })
  if (!result) throw new ApiError(0, 'No answer', 'The connection ended before the run did; the list of runs has it in a moment.', '')
  return result
}
