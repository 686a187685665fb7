// Changing a thing that others may change, too: what is saved is held against what was looked at. When somebody was first, nothing that
// was typed is lost: the person takes over theirs, or keeps their own.

import { ApiError } from './client'
import { toasts } from './toast.svelte'

export class Edit {
  busy = $state(false)
  /** Somebody changed it since it was looked at. */
  conflict = $state(false)
  #etag: string
  #theirs = ''

  constructor(etag = '') {
    this.#etag = etag
  }

  /** Save with the ETag that was looked at; false = it was not saved, and why is on the screen. */
  async save(what: string, write: (etag: string) => Promise<unknown>): Promise<boolean> {
    this.busy = true
    try {
      await write(this.#etag)
      this.conflict = false
      return true
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) {
        this.#theirs = error.etag
        this.conflict = true
      } else toasts.fail(what, error)
      return false
    } finally {
      this.busy = false
    }
  }

  /** What is in the form stands; the next save replaces theirs, unless they change it once more. */
  keepMine(): void {
    this.#etag = this.#theirs
    this.conflict = false
  }

  /** The form holds theirs now. */
  tookTheirs(etag: string): void {
    this.#etag = etag
    this.conflict = false
  }
}
