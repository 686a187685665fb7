import { describe, expect, it } from 'vitest'
import { base64url, bytes, elsewhere, refusal, whyNot, type PasskeyList, type PasskeyRow } from '../src/lib/passkey'

const list = (more: Partial<PasskeyList> = {}): PasskeyList => ({ passkeys: [], rp_id: 'tocsin.example', needs: '', confirm: '', next: '', ...more })
const here = { host: 'tocsin.example', secure: true, able: true }

describe('passkeys', () => {
  it('carry bytes as base64url', () => {
    const all = Uint8Array.from({ length: 256 }, (_, at) => at)
    expect(bytes(base64url(all.buffer))).toEqual(all)
    expect(base64url(Uint8Array.of(251, 255).buffer)).toBe('-_8')
  })
  it('say why none can be made', () => {
    expect(whyNot(list(), here)).toBe('')
    expect(whyNot(list({ needs: 'passkeys need a name' }), here)).toContain('need a name')
    expect(whyNot(list(), { ...here, host: '127.0.0.1' })).toBe('Passkeys are made for tocsin.example; this page was opened as 127.0.0.1.')
    expect(whyNot(list(), { ...here, secure: false })).toContain('https')
    expect(whyNot(list(), { ...here, able: false })).toContain('no passkeys')
  })
  it('say when they are for another address', () => {
    const one = { rp_id: 'old.example' } as PasskeyRow
    expect(elsewhere(one, list())).toBe('for old.example only')
    expect(elsewhere({ ...one, rp_id: 'tocsin.example' }, list())).toBe('')
  })
  it('word what the browser refuses', () => {
    expect(refusal(Object.assign(new Error('x'), { name: 'InvalidStateError' }))).toContain('already')
    expect(refusal(Object.assign(new Error('x'), { name: 'NotAllowedError' }))).toContain('too long')
    expect(refusal(new Error('boom'))).toBe('boom')
  })
})
