// Short messages at the bottom of the page: what was done, with Undo for ten seconds; what failed, until dismissed.

import { ApiError } from './client'

export interface Toast { id: number; text: string; bad: boolean; undo: (() => Promise<void>) | null; detail: string; offer: Offer | null }
/** Something else that could be meant, as a button. */
export interface Offer { label: string; work: () => Promise<void> }

export const UNDO_MS = 10_000

class Toasts {
  all = $state.raw<Toast[]>([])
  #next = 1

  say(text: string, undo: (() => Promise<void>) | null = null, offer: Offer | null = null) {
    this.#add({ id: this.#next++, text, bad: false, undo, detail: '', offer }, undo || offer ? UNDO_MS : 5000)
  }
  fail(what: string, error: unknown) {
    const detail = error instanceof ApiError && error.requestId ? `request ${error.requestId}` : ''
    this.#add({ id: this.#next++, text: `${what}: ${error instanceof Error ? error.message : String(error)}`, bad: true, undo: null, detail, offer: null }, 0)
  }
  async take(toast: Toast) {
    this.dismiss(toast.id)
    await toast.offer?.work()
  }
  dismiss(id: number) {
    this.all = this.all.filter((one) => one.id !== id)
  }
  /** `u`: take back the last thing that can be taken back. */
  async undo() {
    const last = this.all.findLast((one) => one.undo)
    if (!last?.undo) return
    this.dismiss(last.id)
    try {
      await last.undo()
      this.say('Undone')
    } catch (error) {
      this.fail('Could not undo', error)
    }
  }
  #add(toast: Toast, forMs: number) {
    this.all = [...this.all.slice(-3), toast]
    if (forMs) setTimeout(() => this.dismiss(toast.id), forMs)
  }
}

export const toasts = new Toasts()

/** Do it, say it; a failure is shown and answers false. */
export async function attempt(what: string, work: () => Promise<unknown>, done = '', undo: (() => Promise<void>) | null = null): Promise<boolean> {
  try {
    await work()
    if (done) toasts.say(done, undo)
    return true
  } catch (error) {
    toasts.fail(what, error)
    return false
  }
}
