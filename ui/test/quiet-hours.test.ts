import { describe, expect, it } from 'vitest'
import { quietWords } from '../src/lib/oncall'
import { bodyOf, dayWords, formOf, wrongWith, type OwnQuietHours } from '../src/lib/quiethours'

const stored = (hours: OwnQuietHours['hours']): OwnQuietHours => ({ person: 'ana', time_zone: 'Europe/Paris', severities: ['info', 'warning', 'critical'], source: hours ? 'own' : '', hours, etag: 'e' })
const night = { from: '22:00', to: '07:00', time_zone: 'UTC', allow: ['critical'], days: ['mon'], own: true, until_ms: 0 }

describe('quiet hours', () => {
  it('begin as a usual night where there are none, and as they are stored otherwise', () => {
    expect(formOf(stored(null))).toEqual({ from: '22:00', to: '07:00', allDay: false, days: [], time_zone: 'Europe/Paris', allow: ['critical'] })
    expect(bodyOf(formOf(stored(night)))).toEqual({ from: '22:00', to: '07:00', days: ['mon'], time_zone: 'UTC', allow: ['critical'] })
    const weekend = { ...night, from: '00:00', to: '24:00', days: ['sun', 'sat'] }
    expect(bodyOf(formOf(stored(weekend)))).toEqual({ from: '00:00', to: '24:00', days: ['sat', 'sun'], time_zone: 'UTC', allow: ['critical'] })
    expect(formOf(stored({ ...night, to: '24:00' })).to).toBe('00:00')
  })
  it('say what is wrong with them before they are saved', () => {
    const form = formOf(stored(night))
    expect(wrongWith(form)).toBe('')
    expect(wrongWith({ ...form, to: '22:00' })).toContain('same minute')
    expect(wrongWith({ ...form, to: '' })).toContain('when they end')
    expect(wrongWith({ ...form, allDay: true })).toBe('')
    expect(wrongWith({ ...form, allDay: true, days: [] })).toContain('never ends')
  })
  it('are read as people would say them', () => {
    expect(dayWords(['sun', 'sat'])).toBe('Sat and Sun')
    expect(dayWords(['mon', 'tue', 'wed', 'thu', 'fri'])).toBe('Mon to Fri')
    expect(dayWords(['mon', 'wed', 'fri'])).toBe('Mon, Wed and Fri')
    expect(dayWords([])).toBe('')
    expect(quietWords(night)).toBe('22:00 – 07:00, Mon (UTC), critical gets through')
    expect(quietWords({ ...night, from: '00:00', to: '24:00', days: ['sat', 'sun'] })).toBe('All day, Sat and Sun (UTC), critical gets through')
  })
})
