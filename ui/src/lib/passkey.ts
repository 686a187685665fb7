// Making a passkey: what the server sends as base64url is bytes for the browser, and the other way round.

export interface PasskeyRow { id: number; name: string; rp_id: string; synced: boolean; created_ms: number; used_ms: number; etag: string }
export interface PasskeyList { passkeys: PasskeyRow[]; rp_id: string; needs: string; confirm: '' | 'password' | 'sign_in'; next: string }

interface Descriptor { type: 'public-key'; id: string; transports?: AuthenticatorTransport[] }
/** As the server sends them: WebAuthn's own shape, but for bytes as base64url. */
export interface CreationOptions extends Omit<PublicKeyCredentialCreationOptions, 'challenge' | 'user' | 'excludeCredentials'> {
  challenge: string
  user: { id: string; name: string; displayName: string }
  excludeCredentials: Descriptor[]
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0))
}

export function base64url(buffer: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')
}

/** Why this browser can make none here; empty = it can. `list.rp_id` is the host name that they are for. */
export function whyNot(list: PasskeyList, here: { host: string; secure: boolean; able: boolean }): string {
  if (list.needs) return `Not at this address: ${list.needs}.`
  if (here.host !== list.rp_id) return `Passkeys are made for ${list.rp_id}; this page was opened as ${here.host}.`
  if (!here.secure) return 'Browsers make passkeys over https only (or at localhost).'
  return here.able ? '' : 'This browser has no passkeys.'
}

/** One that cannot sign in at this address any more, in words; empty = it can. */
export function elsewhere(one: PasskeyRow, list: PasskeyList): string {
  return one.rp_id === list.rp_id ? '' : `for ${one.rp_id} only`
}

/** Ask the browser for a new one; its answer as the server takes it. Rejects with what a person can read. */
export async function make(options: CreationOptions): Promise<unknown> {
  const publicKey: PublicKeyCredentialCreationOptions = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: options.excludeCredentials.map((one) => ({ ...one, id: bytes(one.id) })),
  }
  const made = (await navigator.credentials.create({ publicKey }).catch((error: unknown) => {
    throw new Error(refusal(error))
  })) as PublicKeyCredential
  const response = made.response as AuthenticatorAttestationResponse
  return {
    id: made.id,
    rawId: base64url(made.rawId),
    type: made.type,
    clientExtensionResults: {},
    response: {
      clientDataJSON: base64url(response.clientDataJSON),
      attestationObject: base64url(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    },
  }
}

export function refusal(error: unknown): string {
  const name = error instanceof Error ? error.name : ''
  if (name === 'InvalidStateError') return 'this device or key has one for your account already'
  if (name === 'NotAllowedError' || name === 'AbortError') return 'the browser was told not to, or it took too long'
  return error instanceof Error ? error.message : String(error)
}
