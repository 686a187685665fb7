import { describe, expect, it } from 'vitest'
import { said, syllables } from '../src/lib/said'

const NOW = Date.parse('2026-11-22T20:50:00Z')

describe('said', () => {
  it('tells instants in the reader\'s zone, with as much of the date as it takes', () => {
    expect(said('Told to default at 2026-11-22 20:36:07 UTC: first notification.', NOW, 'Europe/Paris')).toBe('Told to default at 21:36:07: first notification.')
    expect(said('fires since 2026-11-20 08:00:00 UTC', NOW, 'UTC')).toBe('fires since Fri 08:00')
  })
  it('leaves out what only machines read', () => {
    expect(said('every alert is suppressed (silenced by 319337ac-e6fb-4fa1-9395-db2774c1a0c4)', NOW, 'UTC')).toBe('every alert is suppressed (silenced)')
    expect(said('bundled with others: in one message with 01a20501124b0000508caa68e949e596', NOW, 'UTC')).toBe('bundled with others')
    expect(said('told by the newer message 01a20501124b0000508caa68e949e596, later', NOW, 'UTC')).toBe('told by the newer message, later')
    expect(said('waits until `for` has passed', NOW, 'UTC')).toBe('waits until for has passed')
  })
  it('leaves everything else as it is', () => {
    expect(said('HTTP 503 in 1 ms, expected 2xx', NOW, 'UTC')).toBe('HTTP 503 in 1 ms, expected 2xx')
  })
})

describe('syllables', () => {
  it('splits where words begin and loses nothing', () => {
    expect(syllables('CheckoutErrorRateCritical')).toEqual(['Checkout', 'Error', 'Rate', 'Critical'])
    for (const name of ['HTTP5xx_errors', 'a-b.c', '', 'تنبيه']) expect(syllables(name).join('')).toBe(name)
  })
})
