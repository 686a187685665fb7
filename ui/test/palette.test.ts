// The measured bar: every pair of status colours at least 30 apart (CIE76) for everybody, graphics 3:1 and text 4.5:1 on their ground.

import { describe, expect, it } from 'vitest'
import css from '../src/styles/tokens.css?raw'

type Rgb = [number, number, number]

function token(name: string, theme: 0 | 1): Rgb {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css)
  if (!found) throw new Error(`no token ${name}`)
  const hex = found[theme + 1] ?? ''
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255) as Rgb
}

// Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
const SEEN: Record<string, number[][]> = {
  everybody: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
const linear = (value: number) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
const times = (matrix: number[][], [a, b, c]: Rgb) => matrix.map((row) => (row[0] ?? 0) * a + (row[1] ?? 0) * b + (row[2] ?? 0) * c) as Rgb
const clamp = (rgb: Rgb) => rgb.map((value) => Math.max(0, Math.min(1, value))) as Rgb

function lab(rgb: Rgb): Rgb {
  const [x, y, z] = times([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]], rgb)
  const f = (value: number) => (value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116)
  const [fx, fy, fz] = [f(x / 0.95047), f(y), f(z / 1.08883)]
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]
}
const luminance = (rgb: Rgb) => 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
function contrast(a: Rgb, b: Rgb): number {
  const [high, low] = [luminance(a), luminance(b)].sort((one, two) => two - one) as [number, number]
  return (high + 0.05) / (low + 0.05)
}

const STATUS = ['up', 'warn', 'crit', 'maint']
describe.each([['light', 0], ['dark', 1]] as const)('%s', (_name, theme) => {
  it.each(Object.keys(SEEN))('status colours are told apart by %s', (who) => {
    for (const [index, a] of STATUS.entries())
      for (const b of STATUS.slice(index + 1)) {
        const [one, two] = [a, b].map((name) => lab(clamp(times(SEEN[who] ?? [], token(name, theme).map(linear) as Rgb)))) as [Rgb, Rgb]
        expect(Math.hypot(one[0] - two[0], one[1] - two[1], one[2] - two[2]), `${a} and ${b}`).toBeGreaterThanOrEqual(30)
      }
  })
  it('graphics reach 3:1', () => {
    for (const name of [...STATUS, 'unknown', 'line-strong']) expect(contrast(token(name, theme), token('surface', theme)), name).toBeGreaterThanOrEqual(3)
  })
  it('text reaches 4.5:1 on every ground it stands on', () => {
    for (const name of ['ink', 'ink-2', 'ink-3', 'accent', 'up-text', 'warn-text', 'crit-text', 'maint-text'])
      for (const ground of ['surface', 'bg', 'raised']) expect(contrast(token(name, theme), token(ground, theme)), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5)
    for (const [name, ground] of [['crit-text', 'crit-soft'], ['ink', 'warn-soft'], ['accent', 'accent-soft'], ['on-accent', 'accent'], ['ink-2', 'sunken'], ['ink-2', 'hover'], ['ink-3', 'hover']] as const)
      expect(contrast(token(name, theme), token(ground, theme)), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5)
  })
})
