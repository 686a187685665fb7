// Requests to our own API and to the Prometheus API: abort, retry of reads, problem+json, CSRF token on writes.

import { absolute } from './base'

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly requestId: string,
    /** Of the thing as it is now, when somebody else changed it first (412). */
    readonly etag = '',
  ) {
    super(detail || title)
  }
}

/** Waits before the second, third, ... try of a read that met a network error or 502, 503, 504. */
const RETRY_MS = [300, 1200]
const PASSING = new Set([502, 503, 504])

let csrf = ''
let signedOut: () => void = () => {}

export function useCsrf(token: string): void {
  csrf = token
}

/** What to do when the server says 401: the shell leads to the sign-in page and back. */
export function onSignedOut(callback: () => void): void {
  signedOut = callback
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const early = asked.get(path)
  asked.delete(path)
  return early ? unlessAborted(early as Promise<T>, signal) : read<T>(absolute(`/api/tocsin/v1${path}`), signal)
}

const asked = new Map<string, Promise<unknown>>()

/** Ask now for what is certainly wanted in a moment: the first `get` of it takes this answer. */
export function askEarly(path: string): void {
  const answer = read(absolute(`/api/tocsin/v1${path}`))
  answer.catch(() => {}) // told to who wants it
  asked.set(path, answer)
}

async function unlessAborted<T>(answer: Promise<T>, signal?: AbortSignal): Promise<T> {
  const value = await answer
  signal?.throwIfAborted()
  return value
}

/** A question too long for an address: a POST that changes nothing, so it is asked again like a read. */
export function ask<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers = { accept: 'application/json', 'content-type': 'application/json', 'x-csrf-token': csrf }
  return read<T>(absolute(`/api/tocsin/v1${path}`), signal, { method: 'POST', headers, body: JSON.stringify(body) })
}

export function post<T>(path: string, body: unknown = {}, signal?: AbortSignal, etag = ''): Promise<T> {
  return write<T>('POST', path, body, signal, etag)
}

export function patch<T>(path: string, body: unknown, etag = ''): Promise<T> {
  return write<T>('PATCH', path, body, undefined, etag)
}

export function put<T>(path: string, body: unknown, etag = ''): Promise<T> {
  return write<T>('PUT', path, body, undefined, etag)
}

export function remove(path: string, etag = ''): Promise<void> {
  return write<void>('DELETE', path, undefined, undefined, etag)
}

/** One call of the Prometheus HTTP API; its `data`, or ApiError with Prometheus's own error text. */
export async function prometheus<T>(path: string, parameters: URLSearchParams, signal?: AbortSignal): Promise<T> {
  return (await prometheusAnswer<T>(path, parameters, signal)).data
}

/** The same with the notes beside it. */
export function prometheusAnswer<T>(path: string, parameters: URLSearchParams, signal?: AbortSignal): Promise<{ data: T; infos?: string[] }> {
  const query = parameters.toString()
  return read(absolute(`/api/v1/${path}${query ? `?${query}` : ''}`), signal)
}

async function read<T>(url: string, signal?: AbortSignal, asked: RequestInit = {}): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const wait = RETRY_MS[attempt]
    try {
      const had = answers.get(url)
      const headers: Record<string, string> = { accept: 'application/json', ...(had ? { 'if-none-match': had.etag } : {}) }
      const response = await fetch(url, { headers, ...asked, signal: signal ?? null })
      if (response.status === 304 && had) return again(had.value) as T
      if (!PASSING.has(response.status) || wait === undefined) return remember(url, response.headers.get('etag'), await decode<T>(response))
    } catch (error) {
      if (error instanceof ApiError || isAbort(error) || wait === undefined) throw readable(error)
    }
    await pause(wait ?? 0, signal)
  }
}

// What was answered last at an address, while it is small and among the last few: asked again with its ETag, it is not sent again.
const MOST_ANSWERS = 8
const answers = new Map<string, { etag: string; value: object }>()
const old = new WeakSet<object>()

function remember<T>(url: string, etag: string | null, value: T): T {
  answers.delete(url)
  // Charts ask for another stretch of time each time: nothing of theirs is asked for again.
  if (!etag || typeof value !== 'object' || value === null || !url.includes('/api/tocsin/')) return value
  answers.set(url, { etag, value })
  for (const oldest of answers.keys()) if (answers.size > MOST_ANSWERS) answers.delete(oldest)
  return value
}

function again(value: object): object {
  old.add(value)
  return value
}

/** Whether the server said that an answer is still the one from before: then its clock is that of before, too. */
export function unchanged(value: unknown): boolean {
  return typeof value === 'object' && value !== null && old.has(value)
}

async function write<T>(method: string, path: string, body: unknown, signal?: AbortSignal, etag = ''): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json', 'x-csrf-token': csrf }
  if (etag) headers['if-match'] = `"${etag}"`
  if (body !== undefined) headers['content-type'] = 'application/json'
  try {
    const response = await fetch(absolute(`/api/tocsin/v1${path}`), {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    })
    return await decode<T>(response)
  } catch (error) {
    throw readable(error)
  }
}

/** A POST that answers in lines of JSON: each is handed over as it comes. A line `{error}` is thrown. */
export async function postLines<T>(path: string, take: (line: T) => void): Promise<void> {
  try {
    const headers = { accept: 'application/x-ndjson', 'x-csrf-token': csrf, 'content-type': 'application/json' }
    const response = await fetch(absolute(`/api/tocsin/v1${path}`), { method: 'POST', headers, body: '{}' })
    if (!response.ok || !response.body) return await decode<void>(response)
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    let rest = ''
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const lines = (rest + part.value).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines.filter(Boolean)) {
        const value = JSON.parse(line) as T & { error?: { message: string } }
        if (value.error) throw new ApiError(502, 'It failed', value.error.message, '')
        take(value)
      }
    }
  } catch (error) {
    throw readable(error)
  }
}

async function decode<T>(response: Response): Promise<T> {
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T
  if (response.status === 401) signedOut()
  throw problem(response.status, await response.text(), response.headers.get('x-request-id') ?? '', response.headers.get('etag') ?? '')
}

/** problem+json of ours, `{status: "error"}` of the Prometheus API, FastAPI's `{detail}`, or plain text: one error. */
export function problem(status: number, text: string, requestId: string, etag = ''): ApiError {
  let fields: Record<string, unknown> = {}
  try {
    const parsed: unknown = JSON.parse(text)
    if (parsed && typeof parsed === 'object') fields = parsed as Record<string, unknown>
  } catch {
    // An HTML page of a proxy says nothing a person wants to read here.
  }
  const title = typeof fields.title === 'string' ? fields.title : `HTTP ${status}`
  const detail = typeof fields.detail === 'string' ? fields.detail : typeof fields.error === 'string' ? fields.error : meaning(status)
  return new ApiError(status, title, detail, typeof fields.request_id === 'string' ? fields.request_id : requestId, etag.replace(/^W\/|"/g, '').replace(/\..*$/, ''))
}

function meaning(status: number): string {
  if (status === 401) return 'You are signed out.'
  if (status === 403) return 'Your role does not allow this. An administrator can grant it under Settings.'
  if (status === 404) return 'There is nothing at this address (any more).'
  if (status === 409) return 'Somebody was faster: this has changed meanwhile.'
  return status >= 500 ? 'Tocsin could not answer.' : 'The request was refused.'
}

function readable(error: unknown): unknown {
  if (error instanceof ApiError || isAbort(error)) return error
  return new ApiError(0, 'No connection', 'Tocsin does not answer. Is the program running, and this device online?', '')
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(new DOMException('aborted', 'AbortError'))
    })
  })
}
