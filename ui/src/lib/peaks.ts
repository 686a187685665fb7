// Which charts would lose a peak between two points, and the grid on which the server answers `peaks`.

const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 }

/** Samples that are closer together than this are rare; asking for them costs more than it shows. */
export const FINEST_S = 15

/** Whether samples may lie between two steps that no window of the expression looks at. */
export function losesPeaks(query: string, step_s: number): boolean {
  const windows = [...query.matchAll(/\[([0-9a-z]+)(?::[0-9a-z]*)?\]/g)].map((found) => length(found[1] ?? ''))
  return windows.length === 0 || Math.min(...windows) < step_s
}

function length(duration: string): number {
  return [...duration.matchAll(/(\d+)(ms|[smhdwy])/g)].reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ''] ?? 0), 0)
}

/** Spacing of the points that come back when `count` steps of `step_s` are reduced to about `points`: two of each stretch. */
export function peakStep(count: number, step_s: number, points: number): number {
  if (count <= points) return step_s
  return step_s * Math.ceil(count / points)
}
