import { describe, expect, it } from 'vitest'
import { bars, curve, figures, intervalFor, verdict, type TrialAnswer } from '../src/lib/trial'

const HOUR = 3_600_000
const summary = { firings: 12, per_week: 2.84, at_night: 3, short: 1, again: 0, median_ms: 240_000, longest_ms: HOUR, still_firing: 1, alerts: 4 }
const answer = (more: Partial<TrialAnswer> = {}): TrialAnswer => ({ start_ms: 0, end_ms: 100 * HOUR, firings: [], cut: false, summary, threshold: 5, thresholds: [], notes: [], ...more })
const firing = (from: number, to: number) => ({ labels: {}, fired_ms: from * HOUR, resolved_ms: to * HOUR, value: 1 })

describe('a trial', () => {
  it('says what a rule would have done', () => {
    expect(verdict(answer(), 30)).toBe('It would have fired 12 times in the last 30 days, for 4 different things; 1 would fire now.')
    expect(verdict(answer({ summary: { ...summary, firings: 1, alerts: 1, still_firing: 0 } }), 1)).toBe('It would have fired 1 time in the last day.')
    expect(verdict(answer({ summary: null }), 7)).toBe('It would not have fired in the last 7 days.')
    expect(figures(summary).map((one) => one.value)).toEqual(['2.8', '3', '4m', '1', '0'])
  })
  it('asks for no more evaluations than somebody waits for', () => {
    expect(intervalFor(60_000, 30)).toBe(60_000)
    expect(intervalFor(15_000, 7)).toBe(15_000)
    expect(intervalFor(15_000, 30)).toBe(60_000)
    expect((30 * 86_400_000) / intervalFor(1_000, 30)).toBeLessThanOrEqual(50_000)
  })
  it('draws what touches as one bar, and what still fires to the end', () => {
    const [first, second, ...more] = bars(answer({ firings: [firing(10, 12), firing(11, 15), { ...firing(90, 0), resolved_ms: 0 }] }))
    expect(first).toMatchObject({ start: 0.1, count: 2, to_ms: 15 * HOUR })
    expect(first?.width).toBeCloseTo(0.05)
    expect(second?.width).toBeCloseTo(0.1)
    expect(more).toEqual([])
  })
  it('keeps a short firing at the very end on the strip', () => {
    const [bar] = bars(answer({ firings: [firing(100, 100)] }))
    expect((bar?.start ?? 0) + (bar?.width ?? 0)).toBeLessThanOrEqual(1)
    expect(bar?.width).toBeGreaterThan(0)
  })
})

describe('the curve of thresholds', () => {
  const rows = [{ threshold: 10, firings: 0 }, { threshold: 0, firings: 8 }, { threshold: 5, firings: 2 }]
  it('is sorted and marks where the rule is', () => {
    const found = curve(rows, 5)
    expect(found?.points.map((one) => [one.x, one.y])).toEqual([[0, 1], [0.5, 0.25], [1, 0]])
    expect(found).toMatchObject({ at: 0.5, most: 8, low: 0, high: 10, log: false })
  })
  it('has no mark outside, and is none of a single value', () => {
    expect(curve(rows, 50)?.at).toBeNull()
    expect(curve([{ threshold: 1, firings: 1 }], 1)).toBeNull()
    expect(curve([], null)).toBeNull()
  })
  it('spreads decades', () => {
    const found = curve([{ threshold: 0.01, firings: 5 }, { threshold: 1, firings: 3 }, { threshold: 100, firings: 0 }], 1)
    expect(found?.log).toBe(true)
    expect(found?.at).toBeCloseTo(0.5)
  })
})
