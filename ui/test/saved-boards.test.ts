import { describe, expect, it, vi } from 'vitest'
import type { Board, BoardPanel } from '../src/lib/board'
import { boardDoc, changed, nameOf, NEW_PANEL, panelDoc, panelKeys, placed, slotOf, stepped, withPanel, type BoardDoc } from '../src/lib/boarddoc'
import { Arranging } from '../src/lib/arrange.svelte'
import { blocks, inline } from '../src/lib/markdown'
import { days, stretchLines, strips, weeks } from '../src/lib/states'

const panel = (title: string, more: Partial<BoardPanel> = {}): BoardPanel => ({ ...NEW_PANEL, title, queries: [{ name: '', query: 'up' }], ...more })
const board: Board = { name: 'a', title: 'A', description: '', variables: [], range: 'now-6h', sections: [{ title: 'One', panels: [panel('x'), panel('y')] }, { title: 'Two', panels: [panel('z')] }] }
const titles = (doc: { sections: { title: string; panels: { title: string }[] }[] }) => doc.sections.map((one) => [one.title, one.panels.map((each) => each.title).join('')])

describe('a dashboard that is saved', () => {
  it('says what differs from what would be anyway', () => {
    expect(panelDoc(panel('x'))).toEqual({ title: 'x', queries: { '': 'up' } })
    const whole = panelDoc(panel('x', { kind: 'bars', unit: 's', width: 12, full: 5, fill: 'area', thresholds: { warning: 1, critical: null, below: true }, queries: [{ name: 'a', query: '1' }, { name: 'a', query: '2' }] }))
    expect(whole).toEqual({ title: 'x', kind: 'bars', unit: 's', width: 12, full: 5, fill: 'area', thresholds: { warning: 1, below: true }, queries: { a: '1', 'a 2': '2' } })
    expect(panelDoc(panel('x', { kind: 'text', text: 'hello' }))).toEqual({ title: 'x', kind: 'text', text: 'hello' })
  })
  it('takes panels, changes and loses them', () => {
    const doc = boardDoc(board)
    expect(titles(withPanel(doc, 'Two', panelDoc(panel('new'))))).toEqual([['One', 'xy'], ['Two', 'znew']])
    expect(titles(withPanel(doc, 'Three', panelDoc(panel('new'))))).toEqual([['One', 'xy'], ['Two', 'z'], ['Three', 'new']])
    expect(titles(changed(doc, 1, panelDoc(panel('Y'))))).toEqual([['One', 'xY'], ['Two', 'z']])
    expect(titles(changed(doc, 2, null))).toEqual([['One', 'xy']])
  })
  it('has an address made of its title', () => expect(['Orders, by night', 'Über 9', '99', '中文'].map(nameOf)).toEqual(['orders-by-night', 'uber-9', 'dashboard', 'dashboard']))
})

describe('panels in another order', () => {
  it('stand afterwards where they were put, in their section or another; one that is left empty stays', () => {
    const at = (section: number, index: number) => ({ section, index })
    expect([0, 1, 2, 3, -1].map((place) => slotOf(board, place))).toEqual([at(0, 0), at(0, 1), at(1, 0), null, null])
    expect(titles(placed(board, at(0, 0), at(0, 1)))).toEqual([['One', 'yx'], ['Two', 'z']])
    expect(titles(placed(board, at(0, 0), at(1, 0)))).toEqual([['One', 'y'], ['Two', 'xz']])
    expect(titles(placed(board, at(1, 0), at(0, 2)))).toEqual([['One', 'xyz'], ['Two', '']])
    expect(placed(board, at(4, 0), at(0, 0))).toBe(board)
  })
  it('go a step at a time over the borders of sections, and no further than the ends', () => {
    expect(stepped(board, { section: 0, index: 1 }, 1)).toEqual({ section: 1, index: 0 })
    expect(stepped(board, { section: 1, index: 0 }, -1)).toEqual({ section: 0, index: 2 })
    expect([stepped(board, { section: 0, index: 0 }, -1), stepped(board, { section: 1, index: 0 }, 1)]).toEqual([null, null])
  })
  it('are told apart by what they say, and by which of the same they are', () => expect(new Set(panelKeys([panel('x'), panel('y'), panel('x')])).size).toBe(3))

  const seen: Board = { ...board, etag: '1' }
  const saved = (doc: BoardDoc, etag: string): Board => ({ ...seen, sections: doc.sections.map((one) => ({ title: one.title, panels: one.panels.map((each) => panel(each.title)) })), etag })
  it('are shown at once and saved one after the other, each held against the one before', async () => {
    const sent: [string, string][] = []
    const kept: Board[] = []
    const answers: (() => void)[] = []
    const write = (doc: BoardDoc, etag: string) => new Promise<Board>((done) => {
      sent.push([doc.sections.map((one) => one.panels.map((each) => each.title).join('')).join('|'), etag])
      answers.push(() => done(saved(doc, String(Number(etag) + 1))))
    })
    const arranging = new Arranging({ write, saved: (one) => kept.push(one), failed: () => {} })
    expect(arranging.step(seen, 0, 1)).toBe(1)
    expect(arranging.said).toBe('x is now 2 of 2 in One.')
    expect(arranging.step(seen, 1, 1)).toBe(1)
    expect(arranging.step(seen, 2, 1)).toBeNull()
    expect(arranging.said).toBe('It is the last.')
    expect(sent).toEqual([['yx|z', '1']])
    answers[0]?.()
    await vi.waitFor(() => expect(sent).toHaveLength(2))
    expect([sent[1], kept.length]).toEqual([['y|xz', '2'], 0])
    answers[1]?.()
    await vi.waitFor(() => expect(arranging.board).toBeNull())
    expect(kept.map((one) => [titles(one), one.etag])).toEqual([[[['One', 'y'], ['Two', 'xz']], '3']])
  })
  it('after the last of its own section is where the last stands; where it is already nothing is saved', () => {
    const write = vi.fn(() => new Promise<Board>(() => {}))
    const arranging = new Arranging({ write, saved: () => {}, failed: () => {} })
    expect(arranging.move(seen, 1, { section: 0, index: 2 })).toBeNull()
    expect(write).not.toHaveBeenCalled()
    expect(arranging.move(seen, 0, { section: 0, index: 2 })).toBe(1)
  })
  it('are as the server has them when somebody was first', async () => {
    const failed = vi.fn()
    const arranging = new Arranging({ write: () => Promise.reject(new Error('412')), saved: () => {}, failed })
    arranging.step(seen, 0, 1)
    await vi.waitFor(() => expect(failed).toHaveBeenCalledOnce())
    expect(arranging.board).toBeNull()
  })
})

const NONE = { warning: null, critical: null, below: false }
const answer = (rows: [string, (number | null)[]][], step = 60, start = 0) => ({
  series: rows.map(([name, values]) => ({ metric: { i: name }, values: values.flatMap((value, at): [number, string][] => (value === null ? [] : [[start + at * step, String(value)]])) })),
  start,
  end: start + ((rows[0]?.[1].length ?? 1) - 1) * step,
  step,
  total: rows.length,
})

describe('states over time', () => {
  it('up and down need no limits; the worst comes first; a gap is a gap', () => {
    const [bad, good] = strips(answer([['b', [1, 1, 1, 1]], ['a', [1, 0, null, 0.7]]]), '{{i}}', { thresholds: NONE })
    expect(bad?.stretches.map((one) => [one.level, one.length])).toEqual([['ok', 1], ['critical', 1], ['none', 1], ['warning', 1]])
    expect([bad?.name, bad?.well?.toFixed(3), good?.name, good?.well]).toEqual(['a', '0.567', 'b', 1])
  })
  it('are told in words: of each series the latest first, with instants', () => {
    const rows = strips(answer([['a', [1, 0, 0, null]], ['b', [1, 1, 1, 1]]]), '{{i}}', { thresholds: NONE })
    expect(stretchLines(rows, { from_ms: 1000, to_ms: 5000 }).map((one) => [one.name, one.level, one.from_ms, one.to_ms, one.toned])).toEqual([
      ['a', 'none', 4000, 5000, false],
      ['a', 'critical', 2000, 4000, false],
      ['a', 'ok', 1000, 2000, false],
      ['b', 'ok', 1000, 5000, false],
    ])
  })
  it('by limits when there are some, each value for itself when there are none', () => {
    expect(strips(answer([['a', [1, 9, 20]]]), '', { thresholds: { warning: 5, critical: 10, below: false } })[0]?.stretches.map((one) => one.level)).toEqual(['ok', 'warning', 'critical'])
    expect(strips(answer([['a', [0, 2, 2, 0]]]), '', { thresholds: NONE })[0]?.stretches.map((one) => [one.tone, one.length])).toEqual([[1, 1], [2, 2], [1, 1]])
  })
})

describe('a calendar of days', () => {
  const hours = (count: number, value: (hour: number) => number | null) => answer([['a', Array.from({ length: count }, (_, hour) => value(hour))]], 3600, Date.parse('2026-03-28T00:00:00Z') / 1000)
  it('has the days of the zone, over a change of the clock, each with its mean', () => {
    const found = days(hours(72, (hour) => (hour < 23 ? 1 : 0)), NONE, 'Europe/Paris')
    expect(found.map((one) => [one.key, one.mean > 0.99, one.level])).toEqual([['28/03/2026', true, 'ok'], ['29/03/2026', false, 'critical'], ['30/03/2026', false, 'critical'], ['31/03/2026', false, 'critical']])
  })
  it('weeks begin on Monday, days without data are empty', () => {
    const rows = weeks(days(hours(120, (hour) => (hour >= 24 && hour < 48 ? null : 1)), NONE, 'UTC'), 'UTC')
    expect(rows.map((week) => week.map((one) => one?.key.slice(0, 2) ?? ''))).toEqual([['', '', '', '', '', '28', ''], ['30', '31', '01', '', '', '', '']])
    expect(weeks([], 'UTC')).toEqual([])
  })
})

describe('text of a panel', () => {
  it('titles, lists, paragraphs and code', () => {
    expect(blocks('# Night\nfirst line\nsecond\n\n- a\n- b\n\n```\nx  < y\n```').map((one) => [one.kind, one.lines.length])).toEqual([['title', 1], ['paragraph', 1], ['list', 2], ['code', 1]])
  })
  it('links lead to the web or to us; all else stays text', () => {
    expect(inline('see [run](https://a.example/x) or `up` **now**').map((one) => [one.kind, one.text])).toEqual([['text', 'see '], ['link', 'run'], ['text', ' or '], ['code', 'up'], ['text', ' '], ['bold', 'now']])
    for (const bad of ['[x](javascript:alert)', '[x](//elsewhere)', '<b>x</b>', '[x](data:text/html,1)']) expect(inline(bad)).toEqual([{ kind: 'text', text: bad }])
  })
})
