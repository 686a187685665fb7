// What the frame itself shows of the state: open incidents and firing alerts in the rail and in the tab's title, and a spoken
// sentence when a new critical alert arrives. The overview feeds it; other pages ask for the overview themselves.

import type { Overview } from './api'
import { get } from './client'
import { live } from './live.svelte'
import { router } from './router.svelte'
import { heardOf, news, PAUSE_MS, type Heard } from './spoken'

const TOPICS = ['alert', 'incident', 'check']
const EVERY_MS = 3000

class Summary {
  incidents = $state(0)
  unacknowledged = $state(0)
  firing = $state(0)
  critical = $state(0)
  problems = $state(0)
  spoken = $state('')
  /** What the counts are of; '' = everything. */
  scope = $state('')
  #scope = '' // the same, for whom it is no state
  #known = false
  #heard: Heard | null = null // as of the last sentence that was spoken
  #speaking = false
  #latest: Overview | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #watched = 0 // overviews on screen: they feed us, we need not ask

  get badge(): string {
    const urgent = this.unacknowledged || this.critical
    return live.stale ? '(?) ' : urgent ? `(${urgent}!) ` : this.firing ? `(${this.firing}) ` : ''
  }

  start() {
    live.listen((change) => {
      if (this.#watched > 0) return
      if (change === null || change.topics.some((topic) => TOPICS.includes(topic.replace(/s$/, '')))) this.#soon()
    })
    setTimeout(() => !this.#known && this.#watched === 0 && this.#soon(0), 400)
  }

  /** The overview page is here and will call `take`. */
  watch(): () => void {
    this.#watched += 1
    return () => (this.#watched -= 1)
  }

  /** The counts are those of the scope in the address: another one is asked about at once. */
  rescoped() {
    if (this.#known && this.#watched === 0) this.#soon(0)
  }

  take(overview: Overview) {
    const scope = overview.scope?.matchers.join() ?? ''
    if (scope !== this.#scope) this.#heard = null // what was there all the time is not news
    this.scope = this.#scope = scope
    const firing = Object.values(overview.alerts.firing).reduce((sum, count) => sum + count, 0)
    const critical = overview.alerts.firing.critical ?? 0
    this.#speak(overview)
    this.incidents = overview.incidents.length
    this.unacknowledged = overview.incidents.filter((one) => one.state === 'triggered').length
    this.firing = firing
    this.critical = critical
    this.problems = (overview.checks.counts.down ?? 0) + (overview.checks.counts.degraded ?? 0)
    this.#known = true
  }

  /** Says what is new since the last sentence, and then keeps quiet for a while. */
  #speak(overview: Overview) {
    this.#latest = overview
    if (this.#speaking) return
    const text = this.#heard ? news(this.#heard, overview) : ''
    this.#heard = heardOf(overview)
    if (!text) return
    this.spoken = text
    this.#speaking = true
    setTimeout(() => {
      this.#speaking = false
      this.spoken = '' // the same words again would not be read
      if (this.#latest) this.#speak(this.#latest)
    }, PAUSE_MS)
  }

  #soon(ms = EVERY_MS) {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (document.hidden && ms === 0) return
      const path = router.scoped('/overview')
      void get<Overview>(path).then((overview) => (path === router.scoped('/overview') ? this.take(overview) : undefined), () => {})
    }, ms)
  }
}

export const summary = new Summary()
