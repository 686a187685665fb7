// Answers of the Prometheus API as columns a chart can draw: one shared time grid, null where a series has no sample.

import type { Labels } from './api'

export interface PromSeries { metric: Labels; values?: [number, string][]; value?: [number, string] }
/** What a query cost, when it was asked for with `stats`. */
export interface PromStats { samples: { totalQueryableSamples: number }; timings: { execTotalTime?: number } }
export interface PromResult { resultType: 'matrix' | 'vector' | 'scalar' | 'string'; result: PromSeries[] | [number, string]; stats?: PromStats }

/** `twin`: the place of the line that this one, of an earlier time, is compared with. `mean`: of all samples, where `values` are peaks.
 *  `place`: in the order of colours, where it is not the one in the chart. */
export interface Line { name: string; labels: Labels; values: (number | null)[]; twin?: number; mean?: number | undefined; place?: number | undefined }
/** `hidden`: series that are not drawn; `reads`: what finding them cost. */
export interface Columns { t_s: number[]; lines: Line[]; hidden: number; reads?: Reads }
export interface Reads { samples: number; seconds: number; series: number; step_s: number }

/** How a line is drawn: seven colours, then the same dashed; the past in the colour of its own, dotted. */
export interface Stroke { colour: number; dash: '' | 'dashed' | 'dotted' }
export function strokeOf(line: Line | undefined, index: number): Stroke {
  const place = line?.place ?? line?.twin ?? index
  return { colour: (place % 7) + 1, dash: line?.twin !== undefined ? 'dotted' : place >= 7 ? 'dashed' : '' }
}

/** A chart with more lines tells nothing; the rest is counted. */
export const MOST_LINES = 12

/** `step_s` spaces the grid, so that a gap of the data is a gap of the line. NaN and Inf are drawn as gaps. */
export function columns(result: PromSeries[], start_s: number, end_s: number, step_s: number, most = MOST_LINES): Columns {
  const count = Math.max(1, Math.floor((end_s - start_s) / step_s + 1e-6) + 1)
  const t_s = Array.from({ length: count }, (_, index) => start_s + index * step_s)
  const shown = result.length > most ? [...result].sort((a, b) => last(b) - last(a)).slice(0, most) : result
  const lines = shown.map((series) => {
    const values = new Array<number | null>(count).fill(null)
    for (const [t, text] of series.values ?? []) {
      const index = Math.round((t - start_s) / step_s)
      const value = Number(text)
      if (index >= 0 && index < count && Number.isFinite(value)) values[index] = value
    }
    return { name: '', labels: series.metric, values }
  })
  name(lines)
  return { t_s, lines, hidden: result.length - shown.length }
}

/** How many series there are when the server sent the highest of them only (its info `highest: 20 of 100000 series`). */
export function totalOf(infos: string[] = []): number | undefined {
  const found = infos.map((one) => /^(?:highest|lowest): \d+ of (\d+) series$/.exec(one)?.[1]).find((count) => count !== undefined)
  return found === undefined ? undefined : Number(found)
}

function last(series: PromSeries): number {
  const value = Number(series.values?.at(-1)?.[1])
  return Number.isFinite(value) ? value : -Infinity
}

/** Name each line by the labels that tell it from the others; by its metric when it is alone. */
function name(lines: Line[]): void {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line.labels)))]
  const telling = names.filter((label) => new Set(lines.map((line) => line.labels[label] ?? '')).size > 1)
  for (const line of lines) {
    const used = telling.length > 0 ? telling : lines.length > 1 || !names.includes('__name__') ? names : ['__name__']
    line.name = seriesName(line.labels, used)
  }
}

/** The same for the same labels, in whatever order they come. */
export const labelKey = (labels: Labels) => JSON.stringify(Object.entries(labels).sort())

export function seriesName(labels: Labels, only = Object.keys(labels)): string {
  const metric = only.includes('__name__') ? (labels.__name__ ?? '') : ''
  const rest = only.filter((label) => label !== '__name__' && labels[label] !== undefined)
  const single = rest.length === 1 ? labels[rest[0] ?? ''] : undefined
  if (single !== undefined && !metric) return short(single) || `${rest[0]}=""`
  return metric + (rest.length ? `{${rest.map((label) => `${label}="${short(labels[label] ?? '')}"`).join(', ')}}` : metric ? '' : 'value')
}

/** Longer label values are shown by their beginning and their end; the table of Explore has them whole. */
const LONGEST = 120
export function short(value: string): string {
  const letters = value.length > LONGEST ? [...value] : null
  return letters && letters.length > LONGEST ? `${letters.slice(0, 80).join('')}…${letters.slice(-30).join('')}` : value
}

export interface Summary { min: number; mean: number; max: number; last: number; maxAt_s: number }

export function summary(t_s: number[], values: (number | null)[]): Summary | null {
  let [min, max, sum, count, latest, maxAt] = [Infinity, -Infinity, 0, 0, NaN, 0]
  values.forEach((value, index) => {
    if (value === null) return
    if (value > max) maxAt = t_s[index] ?? 0
    min = Math.min(min, value)
    max = Math.max(max, value)
    sum += value
    count += 1
    latest = value
  })
  return count === 0 ? null : { min, max, mean: sum / count, last: latest, maxAt_s: maxAt }
}

/** The unit a metric's name promises: `_seconds`, `_bytes`, `_ratio`; nothing when a function hides it. */
export function unitOf(query: string): string {
  if (/quantile|_seconds(?!_(total|count|bucket))/.test(query) && /seconds/.test(query)) return 's'
  if (/_bytes(?!\w)/.test(query) && !/\brate|irate|\//.test(query)) return 'bytes'
  if (/rate\(\s*\w*_bytes_total/.test(query)) return 'bytes/s'
  return /_ratio\b/.test(query) ? 'ratio' : ''
}
