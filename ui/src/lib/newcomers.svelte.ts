// A row that appears while somebody points at the list waits: what is under the pointer must not move. It is counted meanwhile.

/** So long after the pointer last moved somebody is still about to press; a pointer that was left there holds nothing back. */
const AIMING_MS = 10_000
/** Time to get from the list to the button that counts them. */
const LEAVING_MS = 1_500

export interface Admitted<T> { rows: T[]; waiting: number }

export class Newcomers<T> {
  /** Somebody points at the list now. */
  aiming = $state(false)
  #known: Set<string> | null = null
  #of = ''
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly key: (row: T) => string) {}

  /** The rows to show; `of` names the list: another one begins anew. */
  of(list: string, rows: T[]): Admitted<T> {
    const known = list === this.#of ? this.#known : null
    if (!this.aiming || known === null || known.size === 0) {
      this.#of = list
      this.#known = new Set(rows.map(this.key))
      return { rows, waiting: 0 }
    }
    const shown = rows.filter((row) => known.has(this.key(row)))
    return { rows: shown, waiting: rows.length - shown.length }
  }

  /** The pointer moved over the list. */
  point = () => {
    this.aiming = true
    this.#until(AIMING_MS)
  }
  /** It left the list. */
  leave = () => this.#until(LEAVING_MS)
  #until(ms: number) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.let, ms)
  }
  /** Let them in: nobody points any more, or somebody asked for them. */
  let = () => {
    clearTimeout(this.#timer)
    this.aiming = false
  }
}
