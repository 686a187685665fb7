// Range and instant queries of the Prometheus API.

import { ApiError, prometheus, prometheusAnswer } from './client'
import { FINEST_S, losesPeaks, peakStep } from './peaks'
import { columns, labelKey, MOST_LINES, summary, totalOf, type Columns, type PromResult, type PromSeries, type Reads } from './prom'
import { stepFor, type Span } from './timerange'

/** More series are not asked for where all of them are wanted: so many may be more. */
export const MOST_SERIES = 2000

export interface RangeAnswer { series: PromSeries[]; start: number; end: number; step: number; total: number; reads?: Reads }
/** `step_s`: this step and no other; `stats`: say what it cost; `fine`: look at so many times as many points, and keep the peaks of
 *  them; `means`: of such lines say the mean, too; `peaks`: whether to look so finely, where the others of a chart decide it. */
export interface Wish { step_s?: number | undefined; stats?: boolean; fine?: number; means?: boolean; peaks?: boolean }

/** The server refuses more steps than this. */
const MOST_STEPS = 11_000

/** About `points` points; the grid starts on a multiple of the step, so that a moving window does not make lines dance.
 *  `highest`: only so many series, those that end highest; of how many, `total` says. */
export async function rangeSeries(query: string, span: Span, points: number, signal?: AbortSignal, highest?: number, wish: Wish = {}): Promise<RangeAnswer> {
  const asked = Math.max(wish.step_s ?? stepFor(span, points), Math.ceil((span.to_ms - span.from_ms) / 1000 / (MOST_STEPS - 1)))
  const start = Math.ceil(span.from_ms / 1000 / asked) * asked
  const end = Math.max(start, Math.floor(span.to_ms / 1000 / asked) * asked)
  const { step, more } = grid(start, end, asked, query, points, wish)
  const parameters = new URLSearchParams({ query, start: String(start), end: String(end), step: String(step.asked_s), ...few(highest), ...more, ...(wish.stats ? { stats: '1' } : {}) })
  const began = performance.now()
  const { data, infos } = await prometheusAnswer<PromResult>('query_range', parameters, signal)
  const series = data.resultType === 'matrix' ? (data.result as PromSeries[]) : []
  const total = totalOf(infos) ?? series.length
  const cost = data.stats && { samples: data.stats.samples.totalQueryableSamples, seconds: data.stats.timings.execTotalTime || (performance.now() - began) / 1000, series: total, step_s: asked }
  return { series, start, end, step: step.drawn_s, total, ...(cost ? { reads: cost } : {}) }
}

/** Steps that are longer than the samples are apart lose peaks: they are asked for finer, and of each stretch the lowest and the
 *  highest are kept (`peaks`). Windows that cover the step lose nothing. */
function grid(start: number, end: number, asked_s: number, query: string, points: number, wish: Wish): { step: { asked_s: number; drawn_s: number }; more: Record<string, string> } {
  if (!finer(query, asked_s, wish)) return { step: { asked_s, drawn_s: asked_s }, more: {} }
  const step_s = Math.max(finestOf(asked_s, wish), Math.ceil((end - start) / (MOST_STEPS - 1)))
  return { step: { asked_s: step_s, drawn_s: peakStep(Math.floor((end - start) / step_s) + 1, step_s, points) }, more: { peaks: String(points) } }
}
const finestOf = (asked_s: number, wish: Wish) => Math.max(FINEST_S, Math.ceil(asked_s / (wish.fine ?? 4)))
const finer = (query: string, asked_s: number, wish: Wish) => !wish.step_s && finestOf(asked_s, wish) < asked_s && (wish.peaks ?? losesPeaks(query, asked_s))

/** What a chart draws: a dozen lines, the highest, and how many there are besides. The others do not cross the network. */
export async function rangeQuery(query: string, span: Span, points: number, signal?: AbortSignal, most = MOST_LINES, wish: Wish = {}): Promise<Columns> {
  const coarse = () => rangeSeries(query, span, points, signal, most, { ...wish, fine: 1 })
  const plain = wish.means && finer(query, stepFor(span, points), wish) ? coarse() : null
  plain?.catch(() => {}) // what fails is told once, by the request below
  const { series, start, end, step, total, reads } = await rangeSeries(query, span, points, signal, most, wish).catch((error: unknown) => {
    // More series than can be looked at so finely: the coarse answer is one, too.
    if (wish.fine !== 1 && error instanceof ApiError && error.status === 422) return plain ?? coarse()
    throw error
  })
  const drawn = columns(series, start, end, step, most)
  const hidden = total - drawn.lines.length
  if (plain && step !== (await plain).step) addMeans(drawn, await plain)
  // By name, not by height: a line keeps its colour when it changes places with another.
  if (hidden > 0) drawn.lines.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  return { ...drawn, hidden, ...(reads ? { reads } : {}) }
}

function addMeans(drawn: Columns, { series, start, end, step }: RangeAnswer): void {
  const { t_s, lines } = columns(series, start, end, step, Infinity)
  const means = new Map(lines.map((line) => [labelKey(line.labels), summary(t_s, line.values)?.mean]))
  for (const line of drawn.lines) line.mean = means.get(labelKey(line.labels))
}

export async function instantQuery(query: string, t_ms: number, signal?: AbortSignal): Promise<PromSeries[]> {
  return seriesOf(await prometheus<PromResult>('query', new URLSearchParams({ query, time: String(t_ms / 1000), ...few() }), signal))
}

/** The highest series at an instant (`lowest`: the lowest), and how many there are. */
export async function highestQuery(query: string, t_ms: number, most: number, signal?: AbortSignal, lowest = false): Promise<{ rows: PromSeries[]; total: number; reads?: Reads }> {
  const which: Record<string, string> = lowest ? { lowest: String(most) } : few(most)
  const { data, infos } = await prometheusAnswer<PromResult>('query', new URLSearchParams({ query, time: String(t_ms / 1000), stats: '1', ...which }), signal)
  const rows = seriesOf(data)
  const total = totalOf(infos) ?? rows.length
  const cost = data.stats && { samples: data.stats.samples.totalQueryableSamples, seconds: data.stats.timings.execTotalTime ?? 0, series: total, step_s: 0 }
  return { rows, total, ...(cost ? { reads: cost } : {}) }
}

const few = (highest?: number): Record<string, string> => (highest ? { highest: String(highest) } : { limit: String(MOST_SERIES) })

function seriesOf(answer: PromResult): PromSeries[] {
  if (answer.resultType === 'scalar' || answer.resultType === 'string') return [{ metric: {}, value: answer.result as [number, string] }]
  return answer.result as PromSeries[]
}
