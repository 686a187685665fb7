import { describe, expect, it } from 'vitest'
import type { AccountRow, TokenRow } from '../src/lib/api'
import { changesOf, ended, expiryOf, grouped, signsIn } from '../src/lib/people'

const account = (more: Partial<AccountRow> = {}): AccountRow => ({ name: 'ben', full_name: '', email: '', role: 'responder', disabled: false, has_password: true, has_totp: false, passkeys: 0, created_ms: 1, seen_ms: 0, etag: 'e', ...more })

describe('accounts', () => {
  it('say how they sign in', () => {
    expect(signsIn(account())).toBe('password')
    expect(signsIn(account({ has_totp: true }))).toBe('password and code')
    expect(signsIn(account({ has_password: false }))).toBe('sign-in link only')
    expect(signsIn(account({ has_password: false, passkeys: 1 }))).toBe('passkey')
    expect(signsIn(account({ has_totp: true, passkeys: 2 }))).toBe('passkey or password and code')
    expect(signsIn(account({ disabled: true }))).toContain('disabled')
  })
  it('send only what was changed', () => {
    expect(changesOf(account(), account(), '')).toEqual({})
    expect(changesOf(account(), account({ role: 'admin', disabled: true }), 'correct horse')).toEqual({ role: 'admin', disabled: true, password: 'correct horse' })
    expect(changesOf(account({ has_totp: true }), account(), '')).toEqual({ totp: false })
    expect(changesOf(account({ passkeys: 2 }), account(), '')).toEqual({ passkeys: false })
  })
})

describe('tokens', () => {
  it('end when they were told to, or never', () => {
    expect(expiryOf(0, 5)).toBe(0)
    expect(expiryOf(1, 5)).toBe(86_400_005)
    expect(ended({ expires_ms: 0 } as TokenRow, 9)).toBe(false)
    expect(ended({ expires_ms: 9 } as TokenRow, 9)).toBe(true)
  })
  it('and secrets are read in groups of four', () => expect(grouped('JBSWY3DPE')).toBe('JBSW Y3DP E'))
})
