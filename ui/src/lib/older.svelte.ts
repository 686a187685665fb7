// Further pages of a list that says `next`: kept below the first one, which goes on being fresh.

import { get } from './client'
import { attempt } from './toast.svelte'

export class Older<T> {
  rows = $state.raw<T[]>([])
  busy = $state(false)
  #next = $state<string | null>(null) // null = as the first page says
  #of = ''

  /** The cursor to go on from; '' = that was all. Another address begins anew. */
  next(path: string, first: string | undefined): string {
    return path === this.#of ? (this.#next ?? first ?? '') : (first ?? '')
  }

  /** Rows of the first page and of the later ones, each once: what has moved down meanwhile is in both. */
  all(path: string, first: T[], key: (row: T) => string | number): T[] {
    if (path !== this.#of || !this.rows.length) return first
    const known = new Set(first.map(key))
    return [...first, ...this.rows.filter((row) => !known.has(key(row)))]
  }

  /** A row that is gone. */
  drop(gone: (row: T) => boolean): void {
    this.rows = this.rows.filter((row) => !gone(row))
  }

  /** Begin anew with the first page: something further down was changed. */
  forget(): void {
    this.rows = []
    this.#next = null
    this.#of = ''
  }

  async more(path: string, field: string, first: string): Promise<void> {
    if (path !== this.#of) {
      this.#of = path
      this.rows = []
      this.#next = null
    }
    this.busy = true
    await attempt('Older rows could not be loaded', async () => {
      const page = await get<Record<string, unknown>>(`${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(this.#next ?? first)}`)
      this.rows = [...this.rows, ...((page[field] as T[] | undefined) ?? [])]
      this.#next = String(page.next ?? '')
    })
    this.busy = false
  }
}
