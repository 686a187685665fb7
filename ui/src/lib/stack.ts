// Lines on top of each other: the area of each is its own share of the whole.

type Values = (number | null)[]

/** Sums from the first line upwards; those that are not shown add nothing. Where no line has a value there is a gap. */
export function stacked(lines: Values[], shown: (index: number) => boolean): Values[] {
  const length = lines[0]?.length ?? 0
  const sums = new Array<number>(length).fill(0)
  const empty = Array.from({ length }, (_, at) => lines.every((line, index) => !shown(index) || line[at] === null || line[at] === undefined))
  return lines.map((line, index) => {
    if (!shown(index)) return new Array<null>(length).fill(null)
    return line.map((value, at) => {
      sums[at] = (sums[at] ?? 0) + (value ?? 0)
      return empty[at] ? null : (sums[at] ?? 0)
    })
  })
}

/** The lines of now on each other, and those of the past on each other: a sum of both would be of no time. */
export function stackedByTime(lines: { values: Values; twin?: number }[], shown: (index: number) => boolean): Values[] {
  const rows = lines.map((line) => line.values)
  const of = (past: boolean) => stacked(rows, (index) => shown(index) && (lines[index]?.twin !== undefined) === past)
  const [now, past] = [of(false), of(true)]
  return lines.map((line, index) => (line.twin === undefined ? now : past)[index] ?? [])
}
