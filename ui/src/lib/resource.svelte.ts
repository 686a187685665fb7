// A piece of the server's state on a page: fetched, fetched again when the stream says that its topic changed, kept (greyed) when a
// fetch fails. Lives as long as the component that asked for it.

import { untrack } from 'svelte'
import { ApiError, get, isAbort, unchanged } from './client'
import { live, type Change } from './live.svelte'

/** Changes that come together are fetched once; four fetches a second at most. */
const COALESCE_MS = 250
/** A server that takes its time is given as long again between two fetches, up to this. */
const MOST_REST_MS = 5000
/** Skeletons would only flicker below this. */
const SKELETON_MS = 150

export interface Options {
  /** Stream topics that make this out of date; empty = only time and address do. */
  topics?: string[]
  /** Fetch again after this long even when the stream is silent: values that change without an event. */
  everyMs?: number
}

export class Resource<T> {
  data = $state.raw<T | null>(null)
  error = $state.raw<ApiError | null>(null)
  loading = $state(true)
  skeleton = $state(false)
  loadedMs = $state(0)
  #abort: AbortController | null = null
  #flying = false
  #took = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #dirty = false
  /** null = nobody has asked for anything yet. */
  #path: string | null = null

  constructor(
    private readonly load: (path: string, signal: AbortSignal) => Promise<T>,
    private readonly options: Options,
  ) {}

  async fetch(path: string | null = this.#path): Promise<void> {
    if (path === null) return
    if (path !== this.#path) this.error = null
    this.#path = path
    this.#dirty = false
    this.#abort?.abort()
    const abort = (this.#abort = new AbortController())
    this.#flying = true
    const began = performance.now()
    this.loading = true
    const shimmer = setTimeout(() => (this.skeleton = this.data === null), SKELETON_MS)
    try {
      const data = await this.load(path, abort.signal)
      const { now_ms, cursor } = (data ?? {}) as { now_ms?: number; cursor?: number }
      if (now_ms && !unchanged(data)) live.synchronise(now_ms, cursor)
      this.data = data
      this.error = null
      this.loadedMs = live.now
    } catch (error) {
      if (isAbort(error)) return
      this.error = error instanceof ApiError ? error : new ApiError(0, 'Unexpected answer', String(error), '')
    } finally {
      clearTimeout(shimmer)
      if (this.#abort === abort) {
        this.#flying = false
        this.#took = performance.now() - began
        this.loading = false
        this.skeleton = false
        if (this.#dirty) this.soon()
      }
    }
  }

  /** A change of the stream; `null` = everything. */
  changed(change: Change | null): void {
    const mine = change === null || change.topics.some((topic) => concerns(this.options.topics ?? [], topic))
    if (mine) this.soon()
  }

  soon(): void {
    this.#dirty = true
    if (document.hidden || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      // What is on its way is not thrown away for something newer: where changes come faster than answers none would ever arrive.
      if (this.#dirty && !this.#flying) void this.fetch()
    }, Math.min(MOST_REST_MS, Math.max(COALESCE_MS, this.#took)))
  }

  /** A hidden tab fetches nothing; when it is looked at again it catches up. */
  shown(): void {
    if (!document.hidden && this.#dirty) void this.fetch()
  }

  close(): void {
    this.#dirty = false
    this.#abort?.abort()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** Topics may be named in the singular or the plural: `check`, `checks`. */
export function concerns(wanted: string[], topic: string): boolean {
  const bare = topic.replace(/s$/, '')
  return wanted.some((name) => name === '*' || name.replace(/s$/, '') === bare)
}

/** `path` is reactive: another address is another fetch. `null` = nothing to fetch now. */
export function resource<T>(path: () => string | null, options: Options = {}, load: (path: string, signal: AbortSignal) => Promise<T> = get): Resource<T> {
  const it = new Resource<T>(load, options)
  $effect(() => {
    const address = path()
    // What a load reads (the clock, above all) is no reason to load again: only the address is.
    if (address !== null) untrack(() => void it.fetch(address))
  })
  $effect(() => {
    const stop = live.listen((change) => it.changed(change))
    const shown = () => it.shown()
    document.addEventListener('visibilitychange', shown)
    const timer = options.everyMs ? setInterval(() => !live.paused && !live.every_ms && it.soon(), options.everyMs) : undefined
    return () => {
      stop()
      document.removeEventListener('visibilitychange', shown)
      clearInterval(timer)
      it.close()
    }
  })
  return it
}
