import { describe, expect, test } from 'vitest'
import type { IncidentDetail } from '../src/lib/api'
import { ApiError } from '../src/lib/client'
import { asItClimbs, asItStands, held } from '../src/lib/held'

const changed = (etag: string) => new ApiError(412, 'changed_meanwhile', 'somebody changed this', '', etag)

describe('a write held against what was looked at', () => {
  test('it is said again while only that moved by which nobody decides', async () => {
    const sent: string[] = []
    const write = async (etag: string) => {
      sent.push(etag)
      if (etag !== '9') throw changed('9')
      return 'done'
    }
    let looked = 6
    expect(await held('5', write, async () => ({ etag: String((looked += 1)), same: true }))).toBe('done')
    expect(sent).toEqual(['5', '7', '8', '9'])
  })

  test('somebody who was first is told of, with the mark of now', async () => {
    const write = async () => Promise.reject(changed('6'))
    await expect(held('5', write, async () => ({ etag: '6', same: false }))).rejects.toMatchObject({ status: 412, etag: '6' })
  })

  test('what moves faster than it can be asked ends in the same words; another failure is none of this', async () => {
    let tries = 0
    const late = async () => {
      tries++
      throw changed('x')
    }
    await expect(held('5', late, async () => ({ etag: '6', same: true }))).rejects.toMatchObject({ status: 412 })
    expect(tries).toBe(5)
    const away = async () => Promise.reject(new ApiError(503, 'away', '', ''))
    await expect(held('5', away, async () => ({ etag: '6', same: true }))).rejects.toMatchObject({ status: 503 })
  })
})

test('what one decides by: who has it, and for paging further which steps were taken', () => {
  const incident = { state: 'triggered', acknowledged_by: '', merged_into: 0, version: 3, alerts_firing: 2, policy_steps: [{ executed_ms: 5 }, { executed_ms: 0 }] } as unknown as IncidentDetail
  const stormier = { ...incident, version: 9, alerts_firing: 40 }
  const climbed = { ...incident, policy_steps: [{ executed_ms: 5 }, { executed_ms: 8 }] } as unknown as IncidentDetail
  expect(asItStands(stormier)).toEqual(asItStands(incident))
  expect(asItStands(climbed)).toEqual(asItStands(incident))
  expect(asItClimbs(climbed)).not.toEqual(asItClimbs(incident))
  expect(asItStands({ ...incident, state: 'acknowledged', acknowledged_by: 'ben' })).not.toEqual(asItStands(incident))
})
