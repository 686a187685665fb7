// What a person does to a list, one thing at a time, and the list as it is afterwards.

import { attempt } from './toast.svelte'

export class Doing {
  /** While something is under way: its buttons wait. */
  busy = $state(false)
  readonly #list: { fetch: () => Promise<unknown> }
  readonly #older: { forget: () => void }

  /** `list`: its first page; `older`: the further ones. */
  constructor(list: { fetch: () => Promise<unknown> }, older: { forget: () => void }) {
    this.#list = list
    this.#older = older
  }

  /** Whether it worked; what went wrong is said as `what`, what went well as `done`. */
  async act(what: string, work: () => Promise<unknown>, done: string): Promise<boolean> {
    this.busy = true
    const worked = await attempt(what, work, done)
    this.busy = false
    this.#older.forget()
    await this.#list.fetch()
    return worked
  }
}
