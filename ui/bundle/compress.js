// A Vite plugin of ours: beside every text file of the bundle it writes `<file>.gz`, so that the web process never compresses at request time.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, gzipSync } from 'node:zlib'

const TEXT = /\.(js|css|html|svg|json|txt|webmanifest)$/
const SMALLEST = 512 // below this a compressed twin saves nothing

export function compress() {
  let folder = ''
  return {
    name: 'tocsin-compress',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir)
    },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true })) {
        if (!TEXT.test(name)) continue
        const bytes = readFileSync(join(folder, name))
        if (bytes.length >= SMALLEST) writeFileSync(join(folder, `${name}.gz`), gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }))
      }
    },
  }
}
