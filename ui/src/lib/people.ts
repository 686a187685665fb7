// Accounts and API tokens in words.

import type { AccountRow, Role, TokenRow } from './api'

export const ROLES: { id: Role; says: string }[] = [
  { id: 'viewer', says: 'sees everything, changes nothing' },
  { id: 'responder', says: 'acknowledges, silences, runs checks' },
  { id: 'admin', says: 'also accounts, tokens, checks and the audit' },
]
export const TOKEN_ROLES: { id: string; says: string }[] = [...ROLES, { id: 'sender', says: 'only sends heartbeats and samples' }, { id: 'probe', says: 'runs the checks of one other place' }]

const DAY_MS = 86_400_000
export const LIFETIMES: { days: number; label: string }[] = [
  { days: 30, label: '30 days' },
  { days: 90, label: '90 days' },
  { days: 365, label: 'a year' },
  { days: 0, label: 'ever (until revoked)' },
]

/** 0 days = no end. */
export function expiryOf(days: number, now_ms: number): number {
  return days ? Math.round(now_ms) + days * DAY_MS : 0
}

/** Kept in the list, so that somebody can see why a script stopped working. */
export function ended(token: TokenRow, now_ms: number): boolean {
  return token.expires_ms > 0 && token.expires_ms <= now_ms
}

/** How an account signs in, as a person would say it. */
export function signsIn(account: AccountRow): string {
  if (account.disabled) return 'disabled: cannot sign in'
  const passkey = account.passkeys > 0 ? 'passkey' : ''
  if (!account.has_password) return passkey || 'sign-in link only'
  return [passkey, account.has_totp ? 'password and code' : 'password'].filter(Boolean).join(' or ')
}

/** A secret in groups of four: typed by hand it is read aloud. */
export function grouped(secret: string): string {
  return secret.match(/.{1,4}/g)?.join(' ') ?? ''
}

/** Only what was changed: a PATCH says nothing about the rest. */
export function changesOf(before: AccountRow, after: AccountRow, password: string): Record<string, unknown> {
  const changes: Record<string, unknown> = {}
  for (const name of ['role', 'full_name', 'email', 'disabled'] as const) if (before[name] !== after[name]) changes[name] = after[name]
  if (before.has_totp && !after.has_totp) changes.totp = false
  if (before.passkeys && !after.passkeys) changes.passkeys = false
  if (password) changes.password = password
  return changes
}
