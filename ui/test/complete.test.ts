import { describe, expect, it } from 'vitest'
import { insert, rank, wanted } from '../src/lib/complete'

/** `|` is the caret. */
function at(text: string) {
  return wanted(text.replace('|', ''), text.indexOf('|'))
}

describe('what is being written', () => {
  it.each([
    ['ra|', { kind: 'name', prefix: 'ra' }],
    ['sum by (le) (rate(http_re|', { kind: 'name', prefix: 'http_re' }],
    ['up{|', { kind: 'label', prefix: '', metric: 'up' }],
    ['up{job="a", ins|', { kind: 'label', prefix: 'ins', metric: 'up' }],
    ['sum by (ser|', { kind: 'label', prefix: 'ser', metric: '' }],
    ['up{job="no|', { kind: 'value', prefix: 'no', metric: 'up', label: 'job' }],
    ['up{job=~"|"}', { kind: 'value', prefix: '', metric: 'up', label: 'job' }],
    ['a{x="}"} + ra|', { kind: 'name', prefix: 'ra' }],
  ])('%s', (text, expected) => expect(at(text)).toMatchObject(expected))

  it.each(['|', 'rate(x[5m|', 'x > 10|', 'up{job="a"} |', '3e|'])('%s asks for nothing', (text) => expect(at(text)).toBeNull())
})

describe('ranking', () => {
  it('puts beginnings first, then beginnings of parts, then the rest; short before long', () => {
    const names = ['node_load15', 'my_upload', 'load', 'node_load1', 'l_o_a_d']
    expect(rank(names, 'load')).toEqual(['load', 'node_load1', 'node_load15', 'my_upload', 'l_o_a_d'])
  })
  it('stays quick with fifty thousand names', () => {
    const names = Array.from({ length: 50_000 }, (_, i) => `service_${i % 97}_http_request_${i}_seconds`)
    expect(rank(names, 'http_re')).toHaveLength(50)
  })
})

describe('taking a choice', () => {
  const take = (text: string, choice: string) => {
    const caret = text.indexOf('|')
    const bare = text.replace('|', '')
    const want = wanted(bare, caret)
    if (!want) throw new Error('nothing wanted')
    const next = insert(bare, caret, want, choice)
    return `${next.text.slice(0, next.caret)}|${next.text.slice(next.caret)}`
  }
  it.each([
    ['su|', 'sum', 'sum(|'],
    ['su|(up)', 'sum', 'sum|(up)'],
    ['node|', 'node_load1', 'node_load1|'],
    ['up{jo|', 'job', 'up{job="|'],
    ['up{jo|="a"}', 'job', 'up{job|="a"}'],
    ['sum by (jo|) (up)', 'job', 'sum by (job|) (up)'],
    ['up{job="no|"}', 'node', 'up{job="node|"}'],
  ])('%s with %s', (text, choice, expected) => expect(take(text, choice)).toBe(expected))
})
