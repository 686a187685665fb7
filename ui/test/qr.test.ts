import { describe, expect, it } from 'vitest'
import { correction, frame, MASKS, places, qr, times } from '../src/lib/qr'

const LEVEL_M: Record<number, [number, [number, number][]]> = { 1: [10, [[1, 16]]], 4: [18, [[2, 32]]], 7: [18, [[4, 31]]], 8: [22, [[2, 38], [2, 39]]], 10: [26, [[4, 43], [1, 44]]] }

/** Reads a code back as a scanner does: format, mask, order of blocks, correction words, bytes. */
function scan(grid: boolean[][]): string {
  const version = (grid.length - 17) / 4
  const bit = (x: number, y: number) => Number(grid[y]?.[x])
  let format = 0
  for (let at = 14; at >= 0; at--) format = format * 2 + bit(8, at < 6 ? at : at < 8 ? at + 1 : grid.length - 15 + at)
  const mask = ((format ^ 0x5412) >> 10) & 7
  expect((format ^ 0x5412) >> 13).toBe(0) // level M
  const marked = frame(version)
  for (let at = 0; at < 9; at++) for (const [x, y] of [[8, at], [at, 8], [grid.length - 1 - Math.min(at, 7), 8], [8, grid.length - 1 - Math.min(at, 7)]] as const) (marked[y] ?? [])[x] ??= false
  if (version >= 7) for (let a = 0; a < 6; a++) for (let b = 0; b < 3; b++) ((marked[a] ?? [])[grid.length - 11 + b] = false), ((marked[grid.length - 11 + b] ?? [])[a] = false)
  const bits = places(marked).map(([x, y]) => bit(x, y) ^ Number(MASKS[mask]?.(x, y)))
  const words = Array.from({ length: bits.length >> 3 }, (_, at) => bits.slice(at * 8, at * 8 + 8).reduce((sum, one) => sum * 2 + one, 0))
  const [checks, groups] = LEVEL_M[version] ?? [0, []]
  const lengths = groups.flatMap(([count, length]) => new Array<number>(count).fill(length))
  const blocks: number[][] = lengths.map(() => [])
  let next = 0
  for (let at = 0; at < Math.max(...lengths); at++) lengths.forEach((length, block) => at < length && blocks[block]?.push(words[next++] ?? 0))
  const data = blocks.flat()
  for (let at = 0; at < checks; at++) blocks.forEach((block) => block.push(words[next++] ?? 0))
  for (const block of blocks) for (let power = 0, root = 1; power < checks; power++, root = times(root, 2)) expect(block.reduce((sum, word) => times(sum, root) ^ word, 0)).toBe(0)
  const stream = data.flatMap((word) => Array.from({ length: 8 }, (_, at) => (word >> (7 - at)) & 1))
  const number = (from: number, length: number) => stream.slice(from, from + length).reduce((sum, one) => sum * 2 + one, 0)
  const width = version > 9 ? 16 : 8
  const bytes = Array.from({ length: number(4, width) }, (_, at) => number(4 + width + at * 8, 8))
  return new TextDecoder().decode(Uint8Array.from(bytes))
}

describe('QR codes', () => {
  it('the correction words of the standard\'s example (annex I: 01234567 in version 1-M)', () => {
    const data = [0x10, 0x20, 0x0c, 0x56, 0x61, 0x80, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11]
    expect(correction(data, 10)).toEqual([0xa5, 0x24, 0xd4, 0xc1, 0xed, 0x36, 0xc7, 0x87, 0x2c, 0x55])
  })
  it.each([
    'hello',
    'otpauth://totp/Tocsin:ana?secret=JBSWY3DPEHPK3PXP',
    `otpauth://totp/Tocsin:ana@shop.example?secret=${'A'.repeat(32)}&issuer=Tocsin&algorithm=SHA1&x`,
    'x'.repeat(130),
    `ü€😀${'y'.repeat(190)}`,
  ])('%s is read back', (text) => {
    const grid = qr(text)
    expect(grid).not.toBeNull()
    expect(grid && scan(grid)).toBe(text)
  })
  it('a text that is too long has none', () => expect(qr('x'.repeat(214))).toBeNull())
})
