// What a query cost, in a line.

import { number, seconds } from './format'
import type { Reads } from './prom'

/** "218 series, 41 ms, 2.1 M samples read, step 15 s". */
export function costText({ series, seconds: took, samples, step_s }: Reads): string {
  const parts = [`${series.toLocaleString('en')} series`, seconds(took), `${number(samples, 0)} samples read`]
  return [...parts, ...(step_s ? [`step ${seconds(step_s)}`] : [])].join(', ')
}
