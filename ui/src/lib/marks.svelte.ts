// Deploys and other marks on the time axis: asked for once for all charts of a page, and again when the stream tells of a change.

import type { Mark } from './chart'
import { get } from './client'
import { live } from './live.svelte'

/** Charts that move with the clock ask for the same span again: this much further is worth a request. */
const GRAIN_MS = 60_000

class Marks {
  /** Of one service only, where the page is about one: what is everybody's stays. */
  service = $state('')
  #all = $state.raw<Mark[]>([])
  #asked = ''
  #heard = false

  get list(): Mark[] {
    return this.service ? this.#all.filter((mark) => !mark.service || mark.service === this.service) : this.#all
  }
  /** A chart shows this span. Failing is no loss: the lines are there all the same. */
  want(from_ms: number, to_ms: number) {
    const [from, to] = [Math.floor(from_ms / GRAIN_MS) * GRAIN_MS, Math.ceil(to_ms / GRAIN_MS) * GRAIN_MS]
    const address = `/markers?from=${from}&to=${to}`
    if (address === this.#asked) return
    this.#asked = address
    this.#load(address)
    if (this.#heard) return
    this.#heard = true
    live.listen((change) => {
      if (change === null || change.topics.some((topic) => topic.startsWith('marker'))) this.#load(this.#asked)
    })
  }

  #load(address: string) {
    get<{ markers: Mark[] }>(address).then(
      (answer) => {
        if (address === this.#asked) this.#all = answer.markers
      },
      () => {},
    )
  }
}

export const marks = new Marks()
