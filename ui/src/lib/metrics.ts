// Which metrics an expression looks at, and what they mean as those who expose them say.

import { prometheus } from './client'
import { FUNCTIONS } from './complete'

export interface About { name: string; type: string; help: string }
type Metadata = Record<string, { type: string; help: string; unit: string }[]>

const WORDS = new Set([...FUNCTIONS, 'by', 'without', 'on', 'ignoring', 'group_left', 'group_right', 'offset', 'bool', 'and', 'or', 'unless', 'inf', 'nan', 'start', 'end'])
const MOST = 4

/** Names outside quotes, braces, brackets and groupings that no bracket follows. */
export function metricsOf(query: string): string[] {
  const bare = query
    .replace(/#.*$/gm, '')
    .replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/g, '""')
    .replace(/\{[^{}]*\}|\[[^[\]]*\]/g, ' ')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)/gi, ' ')
  const found = [...bare.matchAll(/(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])/g)].map((one) => one[1] ?? '')
  return [...new Set(found.filter((name) => !WORDS.has(name.toLowerCase())))].slice(0, MOST)
}

/** Histograms and summaries have their words under the name of the family. */
export function families(name: string): string[] {
  const family = name.replace(/_(bucket|count|sum|total)$/, '')
  return family === name ? [name] : [name, family]
}

export async function about(names: string[], signal?: AbortSignal): Promise<About[]> {
  const asked = names.flatMap((name) => families(name).map((family) => ({ name, family })))
  const answers = await Promise.all(asked.map(({ family }) => prometheus<Metadata>('metadata', new URLSearchParams({ metric: family, limit: '1' }), signal)))
  const found = new Map<string, About>()
  asked.forEach(({ name, family }, index) => {
    const one = answers[index]?.[family]?.[0]
    if (one && (one.help || one.type) && !found.has(name)) found.set(name, { name, type: one.type, help: one.help })
  })
  return [...found.values()]
}
