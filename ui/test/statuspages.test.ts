import { describe, expect, it } from 'vitest'
import { ApiError } from '../src/lib/client'
import { Edit } from '../src/lib/edit.svelte'
import { fromWall, OWN, repeatOf, specOf, toWall } from '../src/lib/maintenance'
import { isTemplate, nextState, saidNext, template } from '../src/lib/statuspages'

describe('writing for the public', () => {
  it('offers a sentence that names the components', () => {
    expect(template('investigating', { Website: 'down' })).toBe('We are seeing problems with Website and are looking into them.')
    expect(template('resolved', { A: 'operational', B: 'operational', C: 'operational' })).toContain('A, B and C')
    expect(template('monitoring', {})).toContain('our service')
  })
  it('never writes over what somebody typed', () => {
    expect(isTemplate('', {})).toBe(true)
    expect(isTemplate(template('identified', { A: 'down' }), { A: 'down' })).toBe(true)
    expect(isTemplate('A disk.', { A: 'down' })).toBe(false)
  })
  it('goes on to the next state, and takes back what it said of components at the end', () => {
    expect(['investigating', 'identified', 'monitoring', 'resolved'].map((one) => nextState(one as 'resolved'))).toEqual(['identified', 'monitoring', 'resolved', 'resolved'])
    expect(saidNext('resolved', { A: 'down' })).toEqual({ A: 'operational' })
    expect(saidNext('identified', { A: 'down' })).toEqual({ A: 'down' })
  })
})

describe('planning work', () => {
  it('speaks a wall clock', () => {
    expect(toWall('2026-11-22T22:00')).toBe('2026-11-22 22:00')
    expect(fromWall('2026-11-22 22:00:00')).toBe('2026-11-22T22:00')
    expect(fromWall(undefined)).toBe('')
  })
  it('knows the usual rules, and shows the others as text', () => {
    expect(repeatOf(undefined)).toBe('')
    expect(repeatOf('FREQ=DAILY')).toBe('FREQ=DAILY')
    expect(repeatOf('FREQ=MONTHLY;BYDAY=1SU')).toBe(OWN)
  })
  it('sends a line of matchers each, and no empty rule', () => {
    const spec = specOf({ name: ' backup ', matchers: 'service="db"\n\n', start: '2026-11-22T22:00', duration: '1h', rrule: ' ', time_zone: 'UTC', comment: '', public: '' })
    expect(spec.matchers).toEqual(['service="db"'])
    expect(spec.name).toBe('backup')
    expect('rrule' in spec).toBe(false)
  })
})

describe('two people change one thing', () => {
  const lost = () => Promise.reject(new ApiError(412, 'Precondition Failed', 'changed', '', 'new'))
  it('saves nothing, keeps what was typed, and asks', async () => {
    const edit = new Edit('old')
    const sent: string[] = []
    expect(await edit.save('x', (etag) => (sent.push(etag), lost()))).toBe(false)
    expect(edit.conflict).toBe(true)
    edit.keepMine()
    expect(await edit.save('x', async (etag) => void sent.push(etag))).toBe(true)
    expect(sent).toEqual(['old', 'new'])
  })
  it('goes on with theirs once they are loaded', async () => {
    const edit = new Edit('old')
    await edit.save('x', lost)
    edit.tookTheirs('theirs')
    const sent: string[] = []
    await edit.save('x', async (etag) => void sent.push(etag))
    expect([edit.conflict, sent]).toEqual([false, ['theirs']])
  })
})
