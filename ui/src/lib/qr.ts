// A QR code (ISO/IEC 18004) of a short text: byte mode, error correction M, versions 1 to 10. Enough for an otpauth: address.

/** Per version: correction codewords per block, then [blocks, data codewords] groups. ISO/IEC 18004 table 9, level M. */
const BLOCKS: [number, [number, number][]][] = [
  [10, [[1, 16]]], [16, [[1, 28]]], [26, [[1, 44]]], [18, [[2, 32]]], [24, [[2, 43]]],
  [16, [[4, 27]]], [18, [[4, 31]]], [22, [[2, 38], [2, 39]]], [22, [[3, 36], [2, 37]]], [26, [[4, 43], [1, 44]]],
]
/** Centres of the alignment patterns (annex E). */
const ALIGNED = [[], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]]
export const MASKS: ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
]

/** Rows of modules, true = dark; null when the text is too long (213 bytes). */
export function qr(text: string): boolean[][] | null {
  const bytes = [...new TextEncoder().encode(text)]
  const version = BLOCKS.findIndex(([, groups], index) => bytes.length + (index + 1 > 9 ? 3 : 2) <= dataLength(groups)) + 1
  if (version === 0) return null
  const words = interleaved(codewords(bytes, version), version)
  const drawn = MASKS.map((_, mask) => draw(words, version, mask))
  return drawn.reduce((best, one) => (penalty(one) < penalty(best) ? one : best))
}

const dataLength = (groups: [number, number][]) => groups.reduce((sum, [count, length]) => sum + count * length, 0)

function codewords(bytes: number[], version: number): number[] {
  const bits: number[] = []
  const put = (value: number, length: number) => {
    for (let bit = length - 1; bit >= 0; bit--) bits.push((value >> bit) & 1)
  }
  put(4, 4) // byte mode
  put(bytes.length, version > 9 ? 16 : 8)
  for (const byte of bytes) put(byte, 8)
  const capacity = dataLength(BLOCKS[version - 1]?.[1] ?? [])
  put(0, Math.min(4, capacity * 8 - bits.length))
  while (bits.length % 8) bits.push(0)
  const words = Array.from({ length: bits.length / 8 }, (_, at) => bits.slice(at * 8, at * 8 + 8).reduce((sum, bit) => sum * 2 + bit, 0))
  while (words.length < capacity) words.push((words.length - bits.length / 8) % 2 ? 0x11 : 0xec)
  return words
}

// Arithmetic of GF(256) with x^8 + x^4 + x^3 + x^2 + 1.
const EXP = new Array<number>(512)
const LOG = new Array<number>(256)
for (let power = 0, value = 1; power < 255; power++) {
  EXP[power] = EXP[power + 255] = value
  LOG[value] = power
  value = value * 2 ^ (value > 127 ? 0x11d : 0)
}
export const times = (a: number, b: number): number => (a && b ? (EXP[(LOG[a] ?? 0) + (LOG[b] ?? 0)] ?? 0) : 0)

/** Reed and Solomon's remainder of `data` for `count` correction words. */
export function correction(data: number[], count: number): number[] {
  let generator = [1]
  for (let power = 0; power < count; power++) {
    const next = [...generator, 0]
    generator.forEach((factor, at) => (next[at + 1] = (next[at + 1] ?? 0) ^ times(factor, EXP[power] ?? 0)))
    generator = next
  }
  const rest = [...data, ...new Array<number>(count).fill(0)]
  for (let at = 0; at < data.length; at++) {
    const factor = rest[at] ?? 0
    generator.forEach((coefficient, offset) => (rest[at + offset] = (rest[at + offset] ?? 0) ^ times(coefficient, factor)))
  }
  return rest.slice(data.length)
}

function interleaved(words: number[], version: number): number[] {
  const [count, groups] = BLOCKS[version - 1] ?? [0, []]
  let at = 0
  const blocks = groups.flatMap(([blocks, length]) => Array.from({ length: blocks }, () => words.slice(at, (at += length))))
  const checks = blocks.map((block) => correction(block, count))
  const woven = (lists: number[][]) => Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, index) => lists.flatMap((list) => (index < list.length ? [list[index] ?? 0] : []))).flat()
  return [...woven(blocks), ...woven(checks)]
}

/** The fixed patterns; null = free for data. */
export function frame(version: number): (boolean | null)[][] {
  const size = 17 + 4 * version
  const grid = Array.from({ length: size }, () => new Array<boolean | null>(size).fill(null))
  const set = (x: number, y: number, dark: boolean) => {
    const row = grid[y]
    if (row && x >= 0 && x < size) row[x] = dark
  }
  for (let at = 0; at < size; at++) {
    set(6, at, at % 2 === 0)
    set(at, 6, at % 2 === 0)
  }
  for (const [cx, cy] of [[3, 3], [size - 4, 3], [3, size - 4]] as const)
    for (let y = -4; y <= 4; y++) for (let x = -4; x <= 4; x++) set(cx + x, cy + y, ![2, 4].includes(Math.max(Math.abs(x), Math.abs(y))))
  const centres = ALIGNED[version - 1] ?? []
  for (const cx of centres)
    for (const cy of centres) {
      if ((cx === 6 && cy === 6) || (cx === 6 && cy === size - 7) || (cx === size - 7 && cy === 6)) continue
      for (let y = -2; y <= 2; y++) for (let x = -2; x <= 2; x++) set(cx + x, cy + y, Math.max(Math.abs(x), Math.abs(y)) !== 1)
    }
  return grid
}

/** `value` with its remainder by a generator polynomial appended: BCH. */
function bch(value: number, generator: number, extra: number): number {
  let rest = value << extra
  for (let bit = Math.floor(Math.log2(rest || 1)); bit >= extra; bit--) if ((rest >> bit) & 1) rest ^= generator << (bit - extra)
  return (value << extra) | rest
}

function information(grid: (boolean | null)[][], version: number, mask: number): void {
  const size = grid.length
  const set = (x: number, y: number, dark: boolean) => ((grid[y] ?? [])[x] = dark)
  const format = bch(mask, 0x537, 10) ^ 0x5412 // level M is 00
  for (let bit = 0; bit < 15; bit++) {
    const dark = ((format >> bit) & 1) === 1
    set(8, bit < 6 ? bit : bit < 8 ? bit + 1 : size - 15 + bit, dark)
    set(bit < 8 ? size - 1 - bit : bit < 9 ? 7 : 14 - bit, 8, dark)
  }
  set(8, size - 8, true)
  if (version < 7) return
  const number = bch(version, 0x1f25, 12)
  for (let bit = 0; bit < 18; bit++) {
    const dark = ((number >> bit) & 1) === 1
    set(size - 11 + (bit % 3), Math.floor(bit / 3), dark)
    set(Math.floor(bit / 3), size - 11 + (bit % 3), dark)
  }
}

/** Places of the data, in order: columns of two, from the right, up and down in turn. */
export function places(grid: (boolean | null)[][]): [number, number][] {
  const size = grid.length
  const found: [number, number][] = []
  let upwards = true
  for (let right = size - 1; right > 0; right -= 2, upwards = !upwards) {
    if (right === 6) right = 5
    for (let step = 0; step < size; step++) {
      const y = upwards ? size - 1 - step : step
      for (const x of [right, right - 1]) if (grid[y]?.[x] === null) found.push([x, y])
    }
  }
  return found
}

function draw(words: number[], version: number, mask: number): boolean[][] {
  const grid = frame(version)
  information(grid, version, mask)
  places(grid).forEach(([x, y], at) => {
    const bit = ((words[at >> 3] ?? 0) >> (7 - (at & 7))) & 1
    ;(grid[y] ?? [])[x] = (bit === 1) !== (MASKS[mask]?.(x, y) ?? false)
  })
  return grid as boolean[][]
}

/** Long runs, blocks of one colour, and an uneven mixture make a code hard to read. */
function penalty(grid: boolean[][]): number {
  let [sum, dark] = [0, 0]
  const at = (x: number, y: number) => grid[y]?.[x]
  for (let y = 0; y < grid.length; y++)
    for (let x = 0; x < grid.length; x++) {
      if (at(x, y)) dark++
      for (const [dx, dy] of [[1, 0], [0, 1]] as const) {
        let run = 1
        if (at(x - dx, y - dy) !== at(x, y)) while (at(x + run * dx, y + run * dy) === at(x, y)) run++
        if (run >= 5) sum += run - 2
      }
      if (at(x, y) === at(x + 1, y) && at(x, y) === at(x, y + 1) && at(x, y) === at(x + 1, y + 1)) sum += 3
    }
  return sum + 10 * Math.floor(Math.abs((dark * 20) / grid.length ** 2 - 10))
}
