// What a page looked like at each step of the history: how far it was scrolled, what was open, what was ticked. Back, forward and a
// reload bring it back; a new address begins anew. Pure but for `save` and `load`.

export interface Place { y: number; drawers: Record<string, boolean>; kept: Record<string, unknown> }

const MOST = 40
const STORED = 'tocsin-places'

export class Places {
  #all = new Map<string, Place>()

  /** What is remembered of a step; made on first use. `key` is `<step> <path>`. */
  at(key: string): Place {
    let place = this.#all.get(key)
    if (!place) {
      this.#all.set(key, (place = { y: 0, drawers: {}, kept: {} }))
      for (const oldest of this.#all.keys()) if (this.#all.size > MOST) this.#all.delete(oldest)
    }
    return place
  }
  known(key: string): boolean {
    return this.#all.has(key)
  }
  /** A new address takes the place of every step that could be gone forward to. */
  forgetFrom(step: number): void {
    for (const key of this.#all.keys()) if (Number.parseInt(key) >= step) this.#all.delete(key)
  }
  save(storage: Pick<Storage, 'setItem'>): void {
    try {
      storage.setItem(STORED, JSON.stringify([...this.#all]))
    } catch {
      // Without storage a reload begins at the top, as everywhere.
    }
  }
  load(storage: Pick<Storage, 'getItem'>): void {
    try {
      const stored = JSON.parse(storage.getItem(STORED) ?? '[]') as [string, Place][]
      this.#all = new Map(stored.filter(([key, place]) => typeof key === 'string' && typeof place?.y === 'number' && !!place.drawers && !!place.kept))
    } catch {
      this.#all = new Map()
    }
  }
}

/** The drawers of a page by names that hold while rows come and go: an id, else the text of the summary and which of that text. */
export function drawersOf(root: ParentNode): Map<string, HTMLDetailsElement> {
  const found = new Map<string, HTMLDetailsElement>()
  const seen = new Map<string, number>()
  for (const drawer of root.querySelectorAll('details')) {
    const text = drawer.id || (drawer.querySelector('summary')?.textContent ?? '').replace(/\s+/g, ' ').trim().slice(0, 60)
    const nth = seen.get(text) ?? 0
    seen.set(text, nth + 1)
    found.set(drawer.id ? `#${drawer.id}` : `${text} ${nth}`, drawer)
  }
  return found
}
