// The little Markdown that a text panel needs, as a tree: titles, paragraphs, lists, bold, code, links. No HTML ever comes of it but through
// components, so nothing that is typed can be more than text.

import { webLink } from './weblink'

export type Inline = { kind: 'text' | 'bold' | 'code'; text: string } | { kind: 'link'; text: string; href: string }
export interface Block { kind: 'title' | 'paragraph' | 'list' | 'code'; lines: Inline[][] }

export function blocks(text: string): Block[] {
  const found: Block[] = []
  for (const part of fenced(text)) {
    if (part.code) found.push({ kind: 'code', lines: [[{ kind: 'text', text: part.text }]] })
    else for (const piece of part.text.split(/\n\s*\n/)) found.push(...paragraphs(piece.split('\n').filter((line) => line.trim())))
  }
  return found
}

function fenced(text: string): { code: boolean; text: string }[] {
  return text.split(/^```.*$/m).map((part, index) => ({ code: index % 2 === 1, text: index % 2 ? part.replace(/^\n|\n$/g, '') : part })).filter((part) => part.text.trim())
}

function paragraphs(lines: string[]): Block[] {
  const found: Block[] = []
  for (const line of lines) {
    const title = /^#{1,6}\s+(.*)$/.exec(line.trim())
    const item = /^\s*(?:[-*]|\d+\.)\s+(.*)$/.exec(line)
    const kind = title ? 'title' : item ? 'list' : 'paragraph'
    const words = inline(title?.[1] ?? item?.[1] ?? line.trim())
    const before = found.at(-1)
    if (before && before.kind === kind && kind === 'list') before.lines.push(words)
    else if (before && before.kind === kind && kind === 'paragraph') before.lines[0]?.push({ kind: 'text', text: ' ' }, ...words)
    else found.push({ kind, lines: [words] })
  }
  return found
}

const PARTS = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^()\s]+)\)/g

/** A link that leads nowhere on the web (`javascript:` among them) stays the text it is. */
export function inline(text: string): Inline[] {
  const found: Inline[] = []
  let end = 0
  for (const one of text.matchAll(PARTS)) {
    if (one.index > end) found.push({ kind: 'text', text: text.slice(end, one.index) })
    const [whole, code, bold, words, target] = one
    const href = webLink(target)
    if (code !== undefined) found.push({ kind: 'code', text: code })
    else if (bold !== undefined) found.push({ kind: 'bold', text: bold })
    else if (href) found.push({ kind: 'link', text: words ?? '', href })
    else found.push({ kind: 'text', text: whole })
    end = one.index + whole.length
  }
  if (end < text.length) found.push({ kind: 'text', text: text.slice(end) })
  return found
}
