// A write that is held against what the person looked at, where much moves by itself: an incident is another version with every
// alert that comes or goes. Only what one decides by is compared; while that is as it was, the write is said again.

import type { IncidentDetail } from './api'
import { ApiError, get } from './client'

/** Enough for whatever moves while a request is under way; then the person is told. */
const MOST_TRIES = 5

/** `again` looks at the thing once more: its mark, and whether what one decides by is as it was. Throws the 412 when it is not. */
export async function held<T>(etag: string, write: (etag: string) => Promise<T>, again: () => Promise<{ etag: string; same: boolean }>): Promise<T> {
  let mark = etag
  for (let tries = 1; ; tries++) {
    try {
      return await write(mark)
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 412 || tries >= MOST_TRIES) throw error
      const now = await again()
      if (!now.same) throw error
      mark = now.etag
    }
  }
}

/** The part of an incident that one decides by, as a text to compare. */
export type By = (incident: IncidentDetail) => unknown
const asText = (by: By, incident: IncidentDetail) => JSON.stringify(by(incident))

export const asItStands: By = (one) => [one.state, one.acknowledged_by, one.merged_into]
export const asItClimbs: By = (one) => [...(asItStands(one) as unknown[]), one.policy_steps.map((step) => step.executed_ms)]

/** Do something to an incident that was looked at. */
export function doTo<T>(seen: IncidentDetail, by: By, write: (etag: string) => Promise<T>): Promise<T> {
  const before = asText(by, seen)
  return held(String(seen.version), write, async () => {
    const now = await get<IncidentDetail>(`/incidents/${seen.number}`)
    return { etag: String(now.version), same: asText(by, now) === before }
  })
}
