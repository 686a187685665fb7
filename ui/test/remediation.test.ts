import { describe, expect, it } from 'vitest'
import { incidentsOf } from '../src/lib/alerts'
import type { AlertRow } from '../src/lib/api'
import { draftOf, formOf, recorded, remediationBody, remediationOf } from '../src/lib/remediation'

describe('what was done', () => {
  it('is read from whatever was stored', () => {
    expect(recorded(remediationOf({}))).toBe(false)
    expect(remediationOf({ action: 'rollback', held: false, summary: 7, by: 'ana', at_ms: 5 })).toEqual({ action: 'rollback', summary: '', cause: '', held: false, by: 'ana', at_ms: 5 })
    expect(recorded(remediationOf({ held: false }))).toBe(true)
  })
  it('says nothing about holding until somebody knows', () => {
    expect(remediationBody({ action: 'restart', summary: ' pool ', cause: '', held: null })).toEqual({ action: 'restart', summary: 'pool', cause: '' })
    expect(remediationBody({ action: '', summary: 'x', cause: '', held: false })).toMatchObject({ held: false })
  })
})

describe('the incidents of chosen alerts', () => {
  const alert = (incident: number, state: AlertRow['state'] = 'firing') => ({ incident, state }) as AlertRow
  it('are named once, without alerts that have none or are over', () => {
    expect(incidentsOf([alert(7), alert(0), alert(7), alert(3), alert(9, 'resolved')])).toEqual([3, 7])
  })
})

describe('half a report', () => {
  it('comes back with what it was begun from', () => {
    const form = formOf(remediationOf({ action: 'scale', held: true }))
    expect(form).toEqual({ action: 'scale', summary: '', cause: '', held: 'yes' })
    expect(draftOf(JSON.stringify({ ...form, summary: 'two more', from: 'x' }))).toEqual({ form: { ...form, summary: 'two more' }, from: 'x' })
  })
  it('of another version, or none, is none', () => {
    for (const text of ['', 'null', '{', '7x']) expect(draftOf(text)).toBeNull()
    expect(draftOf('{"summary": 5}')).toEqual({ form: { action: '', summary: '', cause: '', held: '' }, from: '' })
  })
})
