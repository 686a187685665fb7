// What a chart draws: the lines of one or more expressions on one grid, the same a while ago, single requests as dots.

import { ApiError } from './client'
import { beside, shiftOf, wordsOf } from './compare'
import { exemplarsOf, hasDots, type Exemplar } from './exemplars'
import { ofTheQuery } from './faults'
import { losesPeaks } from './peaks'
import type { Columns, Line, Reads } from './prom'
import { rangeQuery, type Wish } from './query'
import { stepFor, type Span } from './timerange'

export interface Drawn { data: Columns; exemplars: Exemplar[] }
/** `compare`: how long ago the dotted lines are ('', prev, 1d, 1w); `dots`: exemplars, where the expression is a quantile. */
export interface Wanted { range: Span; points: number; most: number; step_s?: number | undefined; compare?: string; dots?: boolean; wish?: Wish }
/** `called`: the name and, where it is not the order, the colour of a line. */
export interface Part { query: string; called: (line: Line, index: number) => Pick<Line, 'name' | 'place'> }
export interface Joined extends Drawn { /** What is wrong with which part; the others are drawn. */ faults: { part: number; message: string }[] }

export async function drawn(query: string, wanted: Wanted, signal?: AbortSignal, part?: Part): Promise<Drawn> {
  const { range, points, most, step_s, compare = '', dots = false, wish = {} } = wanted
  const step = step_s ?? stepFor(range, points)
  // A whole number of steps ago, so that both lie on one grid; and both as coarse as the other.
  const shift_s = Math.round(shiftOf(compare, range) / 1000 / step) * step
  const earlier = { from_ms: range.from_ms - shift_s * 1000, to_ms: range.to_ms - shift_s * 1000 }
  const ask = (of: Span, more: Wish) => rangeQuery(query, of, points, signal, most, { step_s, ...more })
  const [found, past, exemplars] = await Promise.all([
    ask(range, shift_s ? { ...wish, fine: 1, means: false } : wish),
    shift_s ? ask(earlier, { fine: 1 }) : null,
    dots && hasDots(query) ? exemplarsOf(query, range, signal) : [],
  ])
  const data = part ? { ...found, lines: found.lines.map((line, index) => ({ ...line, ...part.called(line, index) })) } : found
  return { data: past ? beside(data, past, shift_s, wordsOf(compare)) : data, exemplars }
}

/** Several expressions in one chart. One that is wrong spoils only itself. */
export async function drawnTogether(parts: Part[], wanted: Wanted, signal?: AbortSignal): Promise<Joined> {
  const step = wanted.step_s ?? stepFor(wanted.range, wanted.points)
  const all = (peaks: boolean) => Promise.all(parts.map((part) => ofItself(drawn(part.query, { ...wanted, wish: { ...wanted.wish, peaks } }, signal, part))))
  let answers = await all(parts.some((part) => losesPeaks(part.query, step)))
  // One of them could only be had coarsely: then all are, or they would not stand on one grid.
  if (new Set(answers.flatMap((one) => ('data' in one ? [one.data.t_s.length] : []))).size > 1) answers = await all(false)
  const good = answers.filter((one) => 'data' in one)
  return {
    data: joined(good.map((one) => one.data)),
    exemplars: good.flatMap((one) => one.exemplars),
    faults: answers.flatMap((one, part) => ('data' in one ? [] : [{ part, message: one.message }])),
  }
}

async function ofItself(answer: Promise<Drawn>): Promise<Drawn | { message: string }> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof ApiError) || !ofTheQuery(error)) throw error
    return { message: error.message }
  }
}

/** Answers on one grid as one. What is of now comes first: colours do not change when the past is drawn beside it. */
export function joined(parts: Columns[]): Columns {
  const own: Line[] = []
  const twins: Line[] = []
  for (const part of parts) {
    // Of each part the lines of now stand before their twins.
    const before = own.length
    for (const line of part.lines) {
      if (line.twin === undefined) own.push(line)
      else twins.push({ ...line, twin: before + line.twin })
    }
  }
  const reads = parts.flatMap((part) => part.reads ?? [])
  return { t_s: parts[0]?.t_s ?? [], lines: [...own, ...twins], hidden: parts.reduce((sum, part) => sum + part.hidden, 0), ...(reads.length ? { reads: reads.reduce(sumOf) } : {}) }
}

const sumOf = (a: Reads, b: Reads): Reads => ({ samples: a.samples + b.samples, seconds: a.seconds + b.seconds, series: a.series + b.series, step_s: Math.max(a.step_s, b.step_s) })
