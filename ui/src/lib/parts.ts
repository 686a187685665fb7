// POST /query/parts: an expression taken apart.

export interface Part { text: string; kind: string; series: number; seconds: number; own_s: number; parts: Part[] }

/** Parents first, with how deep each lies. */
export function flat(part: Part, level = 0): { part: Part; level: number }[] {
  return [{ part, level }, ...part.parts.flatMap((below) => flat(below, level + 1))]
}

/** The share of the whole time that a part took by itself, 0..1. */
export function worth(part: Part, whole: Part): number {
  return whole.seconds > 0 ? part.own_s / whole.seconds : 0
}
