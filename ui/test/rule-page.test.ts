import { describe, expect, it } from 'vitest'
import type { RuleHistory } from '../src/lib/api'
import { firingBands, noiseScore, ownLabels, pastWords } from '../src/lib/rulepage'

const DAY = 86_400_000
const of = (more: Partial<RuleHistory>): RuleHistory => ({ now_ms: 30 * DAY, from_ms: 0, places: [], fired: 0, acted: 0, median_ms: null, pages: 0, real: 0, noise: 0, series: [], firings: [], ...more })

describe('the past of a rule', () => {
  it.each([
    [of({}), 'It did not fire in the last 30 days.'],
    [of({ fired: 1, acted: 1, median_ms: 240_000 }), 'It fired once in 30 days, somebody acted each time; it lasted 4m.'],
    [of({ fired: 12, acted: 0, median_ms: 240_000 }), 'It fired 12 times in 30 days, nobody acted on it; half of them lasted 4m or less.'],
    [of({ fired: 12, acted: 9, median_ms: 60_000 }), 'It fired 12 times in 30 days, somebody acted on 9; half of them lasted 1m or less.'],
  ])('%#', (history, text) => expect(pastWords(history)).toBe(text))
  it('is noise where most firings moved nobody, but not after one or two', () => {
    expect(noiseScore(of({}))).toBeNull()
    expect(noiseScore(of({ fired: 4, acted: 1 }))).toEqual({ text: '75 %', look: 'warning' })
    expect(noiseScore(of({ fired: 2, acted: 0 }))?.look).toBe('ok')
  })
  it('shades a chart where it fired, once where firings overlap', () => {
    const firing = (from: number, to: number) => ({ fingerprint: 'a', labels: {}, starts_at_ms: from, ends_at_ms: to, ended_by: '', incident: 0, acted: false })
    expect(firingBands(of({ firings: [firing(50, 0), firing(1, 5), firing(3, 9)] })).map((band) => [band.from_ms, band.to_ms])).toEqual([[1, 9], [50, 30 * DAY]])
  })
  it('names a series by what tells it from the others', () => {
    const [a, b] = [{ alertname: 'x', host: 'a', job: 'n' }, { alertname: 'x', host: 'b', job: 'n' }]
    expect(ownLabels(a, [a, b])).toEqual([['host', 'a']])
    expect(ownLabels(a, [a])).toEqual([['host', 'a'], ['job', 'n']])
  })
})
