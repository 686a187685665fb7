// uPlot's options in our look: colours of the theme, axes in the reader's zone, limits and incident spans drawn on top.

import uPlot from 'uplot'
import type { Exemplar } from './exemplars'
import { inUnit } from './format'
import type { Stroke } from './prom'

export interface Band { from_ms: number; to_ms: number; look: 'warning' | 'critical' }
export interface Threshold { value: number; label: string; look: 'warning' | 'critical' }

/** An event on the time axis: a deploy, a restart, a note. */
export interface Mark { t_ms: number; kind: string; service: string; text: string }
/** What was dragged over: instants, and where it lies in the drawing (CSS px from the plot's left edge). */
export interface Selection { from_ms: number; to_ms: number; left: number; width: number; direct: boolean }

export type Fill = 'lines' | 'area' | 'stacked'

export interface Wanted {
  names: string[]
  strokes: Stroke[]
  /** Lines alone, each with its area, or each area on top of the one before. */
  fill: Fill
  unit: string
  width: number
  height: number
  zone: string | undefined
  thresholds: Threshold[]
  /** Asked for at every drawing: bands grow with the clock, and a chart made anew would lose what is selected in it. */
  bands: () => Band[]
  marks: () => Mark[]
  dots: () => Exemplar[]
  root: HTMLElement
  onselect: (selection: Selection) => void
  onreset: () => void
  oncursor: (index: number | null) => void
}

export function build(wanted: Wanted): uPlot.Options {
  const paint = palette(wanted.root)
  let shifted = false
  let own = false // the crosshair is shared with the other charts of the page, a selection is not
  const series = wanted.names.map((label, index) => ({
    label,
    stroke: paint(`--series-${wanted.strokes[index]?.colour ?? 1}`),
    width: wanted.strokes[index]?.dash === 'dotted' ? 1.2 : 1.6,
    dash: DASHES[wanted.strokes[index]?.dash ?? ''],
    spanGaps: false,
    points: { show: false },
    ...(wanted.fill === 'lines' || wanted.strokes[index]?.dash === 'dotted' ? {} : { fill: faint(paint(`--series-${wanted.strokes[index]?.colour ?? 1}`), wanted.fill === 'stacked' ? 0.45 : 0.14) }),
  }))
  // An area of a stack ends where the one below it begins.
  const bands: uPlot.Band[] = wanted.fill === 'stacked' ? series.slice(1).flatMap((_, index) => (wanted.strokes[index + 1]?.dash === 'dotted' ? [] : [{ series: [index + 2, index + 1] }])) : []
  const axis = { stroke: paint('--ink-3'), grid: { stroke: paint('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' }
  return {
    width: wanted.width,
    height: wanted.height,
    padding: [10, 18, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: 'tocsin' }, drag: { x: true, y: false, setScale: false }, points: { size: 6 }, bind: { dblclick: () => () => (wanted.onreset(), null), mousedown: (_plot, _node, handler) => (event) => ((shifted = event.shiftKey), (own = true), handler(event)) } },
    tzDate: wanted.zone ? (t_s) => uPlot.tzDate(new Date(t_s * 1000), wanted.zone as string) : (t_s) => new Date(t_s * 1000),
    series: [{}, ...series],
    bands,
    scales: { y: { range: (_plot, low, high) => reach(low, high, wanted.thresholds) } },
    axes: [
      { ...axis, size: 42, space: 70, values: TIME_TEXTS },
      { ...axis, size: 64, space: 34, ...(wanted.unit.startsWith('bytes') ? { incrs: POWERS_OF_TWO } : {}), values: (_plot, splits) => splits.map((value) => inUnit(value, wanted.unit)) },
    ],
    hooks: {
      drawClear: [(plot) => wanted.bands().forEach((band) => shade(plot, band, paint))],
      draw: [(plot) => wanted.thresholds.forEach((limit, index) => limitLine(plot, limit, paint, beneath(plot, wanted.thresholds, index))), (plot) => wanted.marks().forEach((mark) => markLine(plot, mark, paint)), (plot) => wanted.dots().forEach((dot) => diamond(plot, dot, paint))],
      setCursor: [(plot) => wanted.oncursor(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select
          if (width < 4) return
          if (!own) return plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          own = false
          wanted.onselect({ from_ms: plot.posToVal(left, 'x') * 1000, to_ms: plot.posToVal(left + width, 'x') * 1000, left: left + plot.bbox.left / devicePixelRatio, width, direct: shifted })
        },
      ],
    },
  }
}

const DASHES: Record<Stroke['dash'], number[]> = { '': [], dashed: [5, 3], dotted: [2, 4] }

/** `rgb(1, 2, 3)` with an alpha; what a browser computes a colour to is always one of the two forms. */
export function faint(colour: string, alpha: number): string {
  const numbers = colour.match(/[\d.]+/g)
  return /^rgba?\(/.test(colour) && numbers ? `rgba(${numbers.slice(0, 3).join(', ')}, ${alpha})` : `color-mix(in srgb, ${colour} ${alpha * 100}%, transparent)`
}

// Steps of 1, 2, 4, ... bytes: "5.7 MiB" on an axis is a decimal step in disguise.
const POWERS_OF_TWO = Array.from({ length: 60 }, (_, power) => 2 ** power)

// 24 h clock, day before month: uPlot's own default is the American one.
const TIME_TEXTS: uPlot.Axis.Values = [
  [3600 * 24 * 28, '{MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [3600 * 24, '{D} {MMM}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{D} {MMM}', null, '\n{D} {MMM}', null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', '\n{D} {MMM}', null, '\n{D} {MMM}', null, null, null, 1],
]

/** From zero, and up to the limit when the data comes anywhere near it: a calm line far below needs no limit in sight. */
export function reach(low: number | null, high: number | null, thresholds: Threshold[]): [number, number] {
  const bottom = Math.min(0, low ?? 0)
  const most = high ?? 0
  const near = thresholds.map((one) => one.value).filter((value) => value <= most * 2.5 || most === 0)
  const top = Math.max(most, ...near)
  return top <= bottom ? [bottom, bottom + 1] : [bottom, top + (top - bottom) * 0.08]
}

/** Custom properties as canvas colours: light-dark() is resolved by asking the browser for a computed colour. */
function palette(root: HTMLElement): (name: string) => string {
  const probe = root.appendChild(document.createElement('span'))
  return (name) => {
    if (!probe.isConnected) root.appendChild(probe)
    probe.style.color = `var(${name})`
    const colour = getComputedStyle(probe).color
    probe.remove()
    return colour
  }
}

function shade(plot: uPlot, band: Band, paint: (name: string) => string): void {
  const left = plot.valToPos(band.from_ms / 1000, 'x', true)
  const right = plot.valToPos(band.to_ms / 1000, 'x', true)
  const { ctx, bbox } = plot
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  ctx.globalAlpha = 0.1
  ctx.fillStyle = paint(band.look === 'critical' ? '--crit' : '--warn')
  ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height)
  ctx.restore()
}

/** Two limits close together: the word of the lower one goes under its line. */
function beneath(plot: uPlot, limits: Threshold[], index: number): boolean {
  const y = (one: Threshold | undefined) => (one ? plot.valToPos(one.value, 'y', true) : NaN)
  const own = y(limits[index])
  if (own + 16 * devicePixelRatio > plot.bbox.top + plot.bbox.height) return false
  return limits.some((other, at) => at !== index && y(other) <= own && own - y(other) < 16 * devicePixelRatio && (y(other) < own || at > index))
}

function limitLine(plot: uPlot, limit: Threshold, paint: (name: string) => string, under: boolean): void {
  const { ctx, bbox } = plot
  const y = plot.valToPos(limit.value, 'y', true)
  if (y < bbox.top || y > bbox.top + bbox.height) return
  ctx.save()
  ctx.strokeStyle = paint(limit.look === 'critical' ? '--crit' : '--warn')
  ctx.fillStyle = paint(limit.look === 'critical' ? '--crit-text' : '--warn-text')
  ctx.lineWidth = 1.5 * devicePixelRatio
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio])
  ctx.beginPath()
  ctx.moveTo(bbox.left, y)
  ctx.lineTo(bbox.left + bbox.width, y)
  ctx.stroke()
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'alphabetic'
  ctx.fillText(limit.label, bbox.left + 6 * devicePixelRatio, under ? y + 13 * devicePixelRatio : y - 5 * devicePixelRatio)
  ctx.restore()
}

/** A thin line with a foot, in the colour of text: an event is not a state. */
function markLine(plot: uPlot, mark: Mark, paint: (name: string) => string): void {
  const { ctx, bbox } = plot
  const x = Math.round(plot.valToPos(mark.t_ms / 1000, 'x', true))
  if (x < bbox.left || x > bbox.left + bbox.width) return
  const [bottom, foot] = [bbox.top + bbox.height, 5 * devicePixelRatio]
  ctx.save()
  ctx.strokeStyle = ctx.fillStyle = paint('--accent')
  ctx.lineWidth = devicePixelRatio
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio])
  ctx.beginPath()
  ctx.moveTo(x, bbox.top)
  ctx.lineTo(x, bottom)
  ctx.stroke()
  ctx.beginPath()
  ctx.moveTo(x, bottom - foot)
  ctx.lineTo(x + foot, bottom)
  ctx.lineTo(x - foot, bottom)
  ctx.fill()
  ctx.restore()
}

/** One request; higher than the axis it stands at the upper edge. */
function diamond(plot: uPlot, dot: Exemplar, paint: (name: string) => string): void {
  const { ctx, bbox } = plot
  const x = plot.valToPos(dot.t_ms / 1000, 'x', true)
  if (x < bbox.left || x > bbox.left + bbox.width) return
  const size = 4 * devicePixelRatio
  const y = Math.max(bbox.top + size, Math.min(bbox.top + bbox.height, plot.valToPos(dot.value, 'y', true)))
  ctx.save()
  ctx.fillStyle = paint('--accent')
  ctx.strokeStyle = paint('--surface')
  ctx.lineWidth = devicePixelRatio
  ctx.beginPath()
  ctx.moveTo(x, y - size)
  ctx.lineTo(x + size, y)
  ctx.lineTo(x, y + size)
  ctx.lineTo(x - size, y)
  ctx.closePath()
  ctx.fill()
  ctx.stroke()
  ctx.restore()
}
