// A long list comes onto the page a part at a time, and of what is fetched again only what changed: between the parts keys are answered.

/** Rows that a slow phone builds before anybody notices. */
const PART = 40

export class Gradual {
  /** How many rows may stand on the page now. */
  most = $state(PART)

  /** `total`: how many rows there are. Made where a component begins. */
  constructor(total: () => number) {
    $effect(() => {
      const most = this.most
      const all = total()
      if (all <= most) {
        // A filter that is taken back must not bring everything at once.
        if (most > PART) this.most = Math.max(PART, all)
        return
      }
      const timer = setTimeout(() => (this.most = most + PART))
      return () => clearTimeout(timer)
    })
  }
}

/** The first `most` members over all groups, in order; groups that would be empty are left out. */
export function upTo<T, G extends { members: T[] }>(groups: G[], most: number): G[] {
  const laid: G[] = []
  for (const group of groups) {
    if (most <= 0) break
    laid.push({ ...group, members: group.members.slice(0, most) })
    most -= group.members.length
  }
  return laid
}

/** The new rows, as the objects that were there before where nothing of them changed. */
export class Kept<T> {
  #rows = new Map<string, { text: string; row: T }>()

  constructor(private readonly key: (row: T) => string) {}

  of(rows: T[]): T[] {
    const known = new Map<string, { text: string; row: T }>()
    for (const row of rows) {
      const text = JSON.stringify(row)
      const before = this.#rows.get(this.key(row))
      known.set(this.key(row), before?.text === text ? before : { text, row })
    }
    this.#rows = known
    return rows.map((row) => known.get(this.key(row))?.row ?? row)
  }
}
