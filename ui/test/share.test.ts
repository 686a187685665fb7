import { describe, expect, it } from 'vitest'
import type { BoardPanel } from '../src/lib/board'
import { frameOf, markdownOf, shareable, toSign, type Shared } from '../src/lib/share'

const panel: BoardPanel = { title: 'CPU', kind: 'timeseries', unit: 'ratio', description: '', queries: [], text: '', width: 8, thresholds: { warning: 0.8, critical: null, below: false } }
const queries = [{ name: '{{instance}}', query: 'a{b="c"}' }]
const shared: Shared = { picture: 'https://t.example/render/panel.png?q=a&sig=b', page: 'https://t.example/embed/panel?q=a&sig=b"', expires_ms: 1, framed_by: [] }

describe('a panel that is shared', () => {
  it('carries its expressions, its unit and its limits', () => {
    const one = shareable(panel, queries, 'panel-3')!
    expect(one).toEqual({ title: 'CPU', queries, unit: 'ratio', kind: 'lines', limits: [0.8], anchor: 'panel-3' })
    expect(toSign(one, { from: 'now-1h', to: 'now' }, 'UTC', 7)).toEqual({ title: 'CPU', queries, unit: 'ratio', kind: 'lines', limits: [0.8], from: 'now-1h', to: 'now', tz: 'UTC', days: 7 })
  })
  it.each(['heatmap', 'text'] as const)('is none of kind %s: the server cannot draw it', (kind) => expect(shareable({ ...panel, kind }, queries, '')).toBeNull())
  it('is pasted as text that stays what it is', () => {
    expect(frameOf(shared, 'p95 <b> & "more"')).toBe('<iframe src="https://t.example/embed/panel?q=a&#38;sig=b&#34;" width="720" height="400" title="p95 &#60;b&#62; &#38; &#34;more&#34;" loading="lazy" style="border:0"></iframe>')
    expect(markdownOf(shared, 'CPU [all]', 'https://t.example/d/hosts')).toBe('[![CPU  all ](https://t.example/render/panel.png?q=a&sig=b)](https://t.example/d/hosts)')
  })
})
