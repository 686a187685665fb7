// Where a PromQL expression is wrong: the parser's "1:15: parse error: ..." as a place in the text.

import { ApiError, isAbort, prometheus } from './client'

/** Whether the question is wrong: asked again it fails again. Anything else is an answer that did not come. */
export function ofTheQuery(error: ApiError | null): boolean {
  return error?.status === 400 || error?.status === 422
}

export async function faultOf(text: string): Promise<{ at: number; message: string } | null> {
  try {
    await prometheus('parse_query', new URLSearchParams({ query: text }))
    return null
  } catch (error) {
    return !(error instanceof ApiError) || isAbort(error) || error.status !== 400 ? null : placed(error.message, text)
  }
}

/** Columns count from 1, in characters of a line. */
export function placed(message: string, text: string): { at: number; message: string } {
  const found = /(\d+):(\d+): parse error: ([\s\S]*)/.exec(message)
  if (!found) return { at: 0, message: message.replace(/^invalid parameter "query": /, '') }
  const lines = text.split('\n')
  const line = Math.min(Number(found[1]), lines.length) - 1
  const before = lines.slice(0, line).reduce((sum, one) => sum + one.length + 1, 0)
  return { at: Math.min(text.length, before + Number(found[2]) - 1), message: found[3] ?? '' }
}
