import { describe, expect, it } from 'vitest'
import type { NotificationRow } from '../src/lib/api'
import { notificationState } from '../src/lib/notifications'
import { figures, fullIn, type SelfState } from '../src/lib/self'

const DAY_MS = 86_400_000
const GIB = 2 ** 30
const state = (more: Partial<SelfState> = {}): SelfState => ({ processes: [], config: { files: [], problems: [], loaded_ms: 1 }, counts: { open: 0, waiting: 0, failed: 0, sent: 4 }, disk: { mount: '/', total_bytes: 100 * GIB, free_bytes: 50 * GIB }, dead_man: { configured: true, every_ms: 60_000, called_ms: 1_000_000, trouble: '' }, ...more })
const of = (name: string, ...rest: Parameters<typeof figures>) => figures(...rest).find((one) => one.name === name)

describe('the disk', () => {
  it('is full when what is free is gone at this pace', () => {
    expect(fullIn({ mount: '/', total_bytes: 10, free_bytes: 5 }, -0.5)).toBe(10_000)
    expect(fullIn({ mount: '/', total_bytes: 10, free_bytes: 5 }, 0.5)).toBeNull()
    expect(fullIn(undefined, -1)).toBeNull()
    expect(fullIn({ mount: '/', total_bytes: 10, free_bytes: 5 }, null)).toBeNull()
  })
  it('is a worry days before', () => {
    const pace = (days: number) => (-50 * GIB * 1000) / (days * DAY_MS)
    expect(of('Disk free', state(), {}, pace(2), 0)).toMatchObject({ look: 'critical', note: 'of 100 GiB on /; full in 2d at this pace' })
    expect(of('Disk free', state(), {}, pace(10), 0)?.look).toBe('warning')
    expect(of('Disk free', state(), {}, pace(900), 0)).toMatchObject({ look: 'ok', note: 'of 100 GiB on /; full in more than a year' })
    expect(of('Disk free', state(), {}, 1, 0)?.note).toContain('not filling up')
    expect(of('Disk free', state(), {}, null, 0)?.note).toContain('known after an hour')
    expect(of('Disk free', state({ disk: { mount: '/', total_bytes: 100, free_bytes: 2 } }), {}, null, 0)?.look).toBe('critical')
  })
})

describe('figures', () => {
  it('say what is not known instead of well', () => {
    expect(of('Taken in', state(), {}, null, 0)).toMatchObject({ text: '–', look: 'unknown' })
    expect(of('Delivered', state({ counts: { open: 0, waiting: 0, failed: 0, sent: 0 } }), {}, null, 0)).toMatchObject({ text: '–', look: 'unknown' })
    expect(of('Event loop lag', state(), { loop: NaN }, null, 0)?.look).toBe('unknown')
  })
  it('warn of what does not arrive, and of a switch that is missing or silent', () => {
    expect(of('Delivered', state({ counts: { open: 0, waiting: 0, failed: 1, sent: 3 } }), {}, null, 0)).toMatchObject({ text: '75.0 %', look: 'warning', note: 'of 4 in a day, 1 failed' })
    expect(of("Dead man's switch", state(), {}, null, 1_060_000)).toMatchObject({ text: 'called 1m ago', look: 'ok' })
    expect(of("Dead man's switch", state(), {}, null, 9_000_000)?.look).toBe('critical')
    expect(of("Dead man's switch", state({ dead_man: { configured: false, every_ms: 0, called_ms: 0, trouble: '' } }), {}, null, 0)).toMatchObject({ text: 'none', look: 'warning' })
    expect(of('Taken in', state(), { ingest: 0 }, null, 0)?.look).toBe('warning')
  })
})

it('a message whose answer was lost may be there twice', () => {
  const row = { state: 'accepted', state_reason: '', attempts: 2, possible_repeat: true } as NotificationRow
  expect(notificationState(row)).toBe('sent, accepted by the provider, attempt 2, perhaps twice: an answer was lost')
  expect(notificationState({ ...row, attempts: 1, possible_repeat: false })).toBe('sent, accepted by the provider')
})
