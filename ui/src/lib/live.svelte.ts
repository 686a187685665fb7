// The one stream of a browser. The tab that holds the lock listens to the server and repeats every message to the other tabs; when it
// closes, the next tab takes over from the cursor. Without locks (plain http on a foreign host) every tab listens for itself.
// A stream that stays quiet, or brings old news (a proxy holds it back), is helped out by plain requests until it speaks again.

import type { Engine } from './api'
import { absolute } from './base'
import { get } from './client'
import { dataAge, freshness, late, quiet, type Pulse } from './freshness'
import type { Refresh } from './refresh'

export interface Change { id: number; topics: string[]; subjects: string[] }
/** What `/changes` answers: as much as the stream would have said since the cursor. */
interface Missed { now_ms: number; cursor: number; engine: Engine; reset: boolean; topics: string[]; subjects: string[] }
/** `cursor`: the event's id, from which a new stream goes on. */
type Message =
  | { kind: 'change'; cursor: number; change: Change }
  | { kind: 'reset'; cursor: number }
  | { kind: 'beat'; cursor: number; now_ms: number; engine: Engine }
  | { kind: 'state'; connected: boolean }
/** `null` = everything may have changed. */
type Listener = (change: Change | null) => void

const RETRY_MS = 2000
/** A page that asks for nothing with a cursor still gets its stream. */
const CURSOR_MS = 700
/** A request that helps the stream out must not outlast the pause before the next. */
const ASK_MS = 4000

class Live {
  now = $state(Date.now()) // the server's time, once a second
  minute = $state(Date.now()) // the same, every 15 s: for ages nobody reads to the second
  paused = $state(false)
  /** By the clock instead of as things change: so often; 0 = as things change. */
  every_ms = 0
  #woken = 0 // by `performance.now()`
  #pulse = $state<Pulse>({ connected: false, started_ms: Date.now(), heard_ms: 0, engine: null })
  #skew: number | null = null // server minus browser, null = not known yet: a browser clock an hour off must not make data look old
  #cursor = 0
  #opened = false
  #stream = { opened: 0, spoke: 0, asked: 0 } // by `performance.now()`, 0 = not yet; of the tab that listens
  #source: EventSource | null = null
  #listeners = new Set<Listener>()
  #channel: BroadcastChannel | null = null

  get freshness() {
    return this.paused ? 'paused' : freshness(this.#pulse, this.now)
  }
  get stale() {
    return freshness(this.#pulse, this.now) === 'stale'
  }
  get age() {
    return dataAge(this.#pulse, this.now)
  }
  get engine() {
    return this.#pulse.engine
  }

  start() {
    this.#pulse = { ...this.#pulse, started_ms: this.now }
    setInterval(() => this.#tick(), 1000)
    document.addEventListener('visibilitychange', () => !document.hidden && this.#tick())
    setTimeout(() => this.#open(), CURSOR_MS)
  }

  /** Once: when the first answer has told from where to listen, or after a while without. */
  #open() {
    if (this.#opened) return
    this.#opened = true
    if (!navigator.locks || typeof BroadcastChannel === 'undefined') return this.#connect()
    this.#channel = new BroadcastChannel(`tocsin-live:${absolute('/')}`)
    this.#channel.onmessage = (event: MessageEvent<Message>) => this.#take(event.data)
    void navigator.locks.request(`tocsin-live:${absolute('/')}`, () => {
      this.#connect()
      return new Promise(() => {}) // held until the tab goes away
    })
  }

  /** Every answer of the server carries its clock, and up to which change it is complete. */
  synchronise(now_ms: number, cursor = 0) {
    if (!this.#opened && cursor > 0) {
      this.#cursor = cursor
      this.#pulse = { ...this.#pulse, started_ms: now_ms }
      this.#open()
    }
    if (now_ms > 0) this.#skew = now_ms - Date.now()
    this.now = this.#reckon()
    this.minute = this.now
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #reckon = () => Date.now() + (this.#skew ?? 0)

  #tick() {
    this.now = this.#reckon()
    if (!this.paused && this.now - this.minute > Math.max(15_000, this.every_ms)) this.minute = this.now
    if (this.every_ms && !this.paused && performance.now() - this.#woken >= this.every_ms) {
      this.#woken = performance.now()
      for (const listener of this.#listeners) listener(null)
    }
    if (this.#source && quiet(this.#stream, performance.now())) void this.#ask()
  }

  /** What the stream keeps from us, asked for. */
  async #ask() {
    this.#stream.asked = performance.now()
    try {
      const missed = await get<Missed>(`/changes${this.#cursor ? `?cursor=${this.#cursor}` : ''}`, AbortSignal.timeout(ASK_MS))
      const { cursor, topics, subjects } = missed
      this.#tell({ kind: 'beat', cursor, now_ms: missed.now_ms, engine: missed.engine })
      if (missed.reset) this.#tell({ kind: 'reset', cursor })
      else if (topics.length) this.#tell({ kind: 'change', cursor, change: { id: cursor, topics, subjects } })
    } catch {
      // Tocsin is away, too: the age of the data says so, and the next look is in a few seconds.
    }
  }

  #connect() {
    const unsure = this.#cursor === 0 // what was fetched before may miss a change: fetch once more
    this.#source?.close()
    const source = new EventSource(absolute(`/api/tocsin/v1/stream${this.#cursor ? `?cursor=${this.#cursor}` : ''}`))
    this.#source = source
    // An address that refuses again and again does not start its grace anew.
    if (this.#stream.spoke >= this.#stream.opened) this.#stream.opened = performance.now()
    source.onopen = () => {
      this.#tell({ kind: 'state', connected: true })
      if (unsure) this.#wake(null)
    }
    const hear = (name: string, take: (cursor: number, data: never) => void) =>
      source.addEventListener(name, (event: MessageEvent<string>) => {
        const data = JSON.parse(event.data) as { now_ms?: number }
        if (data.now_ms && this.#skew !== null && late(data.now_ms, this.now)) return // held back on its way: by now somebody was asked
        this.#stream.spoke = performance.now()
        take(Number(event.lastEventId), data as never)
      })
    hear('change', (cursor, change: Change) => this.#tell({ kind: 'change', cursor, change }))
    hear('reset', (cursor) => this.#tell({ kind: 'reset', cursor }))
    hear('beat', (cursor, beat: { now_ms: number; engine: Engine }) => this.#tell({ kind: 'beat', cursor, ...beat }))
    source.onerror = () => {
      this.#tell({ kind: 'state', connected: false })
      // The browser gives up after an HTTP error (a proxy's 502 while Tocsin restarts); we do not.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.#connect(), RETRY_MS + Math.random() * RETRY_MS)
    }
  }

  #tell(message: Message) {
    this.#channel?.postMessage(message)
    this.#take(message)
  }

  #take(message: Message) {
    if (message.kind === 'state') {
      const again = message.connected && this.#pulse.heard_ms > 0 && !this.#pulse.connected
      this.#pulse = { ...this.#pulse, connected: message.connected }
      if (again) this.#wake(null)
      return
    }
    if (message.kind === 'beat') this.synchronise(message.now_ms)
    // It only grows; what a proxy held back is behind what was asked for meanwhile.
    this.#cursor = message.kind === 'reset' ? message.cursor : Math.max(this.#cursor, message.cursor)
    const engine = message.kind === 'beat' ? message.engine : this.#pulse.engine
    this.#pulse = { ...this.#pulse, connected: true, heard_ms: this.#reckon(), engine }
    if (message.kind === 'change') this.#wake(message.change)
    if (message.kind === 'reset') this.#wake(null)
  }

  #wake(change: Change | null) {
    if (!this.paused && !this.every_ms) for (const listener of this.#listeners) listener(change)
  }

  /** What an address says of it (`refresh=`). */
  pace(refresh: Refresh) {
    this.every_ms = typeof refresh === 'number' ? refresh : 0
    this.#woken = performance.now()
    if (this.paused !== (refresh === 'off')) this.toggle()
  }

  /** `l`: freeze the page while reading it, then catch up. */
  toggle() {
    this.paused = !this.paused
    if (!this.paused) this.#wake(null)
  }
}

export const live = new Live()
