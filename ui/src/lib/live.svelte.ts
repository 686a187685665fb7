// The one stream of a browser. The tab that holds the lock listens to the server and repeats every message to the other tabs; when it
// closes, the next tab takes over from the cursor. Without locks (plain http on a foreign host) every tab listens for itself.

import type { Engine } from './api'
import { absolute } from './base'
import { dataAge, freshness, type Pulse } from './freshness'

export interface Change { id: number; topics: string[]; subjects: string[] }
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

class Live {
  now = $state(Date.now()) // the server's time, once a second
  minute = $state(Date.now()) // the same, every 15 s: for ages nobody reads to the second
  paused = $state(false)
  #pulse = $state<Pulse>({ connected: false, started_ms: Date.now(), heard_ms: 0, engine: null })
  #skew = 0 // server minus browser: a browser clock an hour off must not make data look old
  #cursor = 0
  #opened = false
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
    this.now = Date.now() + this.#skew
    this.minute = this.now
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tick() {
    this.now = Date.now() + this.#skew
    if (this.now - this.minute > 15_000) this.minute = this.now
  }

  #connect() {
    const unsure = this.#cursor === 0 // what was fetched before may miss a change: fetch once more
    this.#source?.close()
    const source = new EventSource(absolute(`/api/tocsin/v1/stream${this.#cursor ? `?cursor=${this.#cursor}` : ''}`))
    this.#source = source
    source.onopen = () => {
      this.#tell({ kind: 'state', connected: true })
      if (unsure) this.#wake(null)
    }
    source.addEventListener('change', (event: MessageEvent<string>) => this.#tell({ kind: 'change', cursor: Number(event.lastEventId), change: JSON.parse(event.data) as Change }))
    source.addEventListener('reset', (event: MessageEvent<string>) => this.#tell({ kind: 'reset', cursor: Number(event.lastEventId) }))
    source.addEventListener('beat', (event: MessageEvent<string>) => {
      const beat = JSON.parse(event.data) as { now_ms: number; engine: Engine }
      this.#tell({ kind: 'beat', cursor: Number(event.lastEventId), ...beat })
    })
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
    if (message.cursor > 0) this.#cursor = message.cursor
    const engine = message.kind === 'beat' ? message.engine : this.#pulse.engine
    this.#pulse = { ...this.#pulse, connected: true, heard_ms: Date.now() + this.#skew, engine }
    if (message.kind === 'change') this.#wake(message.change)
    if (message.kind === 'reset') this.#wake(null)
  }

  #wake(change: Change | null) {
    if (!this.paused) for (const listener of this.#listeners) listener(change)
  }

  /** `l`: freeze the page while reading it, then catch up. */
  toggle() {
    this.paused = !this.paused
    if (!this.paused) this.#wake(null)
  }
}

export const live = new Live()
