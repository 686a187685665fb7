// uPlot's options in our look: colours of the theme, axes in the reader's zone, limits and incident spans drawn on top.

import uPlot from 'uplot'
import { inUnit } from './format'

export interface Band { from_ms: number; to_ms: number; look: 'warning' | 'critical' }
export interface Threshold { value: number; label: string; look: 'warning' | 'critical' }

export interface Wanted {
  names: string[]
  unit: string
  width: number
  height: number
  zone: string | undefined
  thresholds: Threshold[]
  bands: Band[]
  root: HTMLElement
  onzoom: (from_ms: number, to_ms: number) => void
  onreset: () => void
  oncursor: (index: number | null) => void
}

export function build(wanted: Wanted): uPlot.Options {
  const paint = palette(wanted.root)
  const series = wanted.names.map((label, index) => ({
    label,
    stroke: paint(`--series-${(index % 7) + 1}`),
    width: 1.6,
    dash: index >= 7 ? [5, 3] : [],
    spanGaps: false,
    points: { show: false },
  }))
  const axis = { stroke: paint('--ink-3'), grid: { stroke: paint('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui, sans-serif' }
  return {
    width: wanted.width,
    height: wanted.height,
    legend: { show: false },
    cursor: { sync: { key: 'tocsin' }, drag: { x: true, y: false, setScale: false }, points: { size: 6 }, bind: { dblclick: () => () => (wanted.onreset(), null) } },
    tzDate: wanted.zone ? (t_s) => uPlot.tzDate(new Date(t_s * 1000), wanted.zone as string) : (t_s) => new Date(t_s * 1000),
    series: [{}, ...series],
    scales: { y: { range: (_plot, low, high) => reach(low, high, wanted.thresholds) } },
    axes: [
      { ...axis, space: 70, values: TIME_TEXTS },
      { ...axis, size: 64, space: 34, values: (_plot, splits) => splits.map((value) => inUnit(value, wanted.unit)) },
    ],
    hooks: {
      drawClear: [(plot) => wanted.bands.forEach((band) => shade(plot, band, paint))],
      draw: [(plot) => wanted.thresholds.forEach((limit) => limitLine(plot, limit, paint))],
      setCursor: [(plot) => wanted.oncursor(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return
          wanted.onzoom(plot.posToVal(plot.select.left, 'x') * 1000, plot.posToVal(plot.select.left + plot.select.width, 'x') * 1000)
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
}

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

function limitLine(plot: uPlot, limit: Threshold, paint: (name: string) => string): void {
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
  ctx.fillText(limit.label, bbox.left + 6 * devicePixelRatio, y - 5 * devicePixelRatio)
  ctx.restore()
}
