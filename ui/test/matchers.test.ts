import { describe, expect, it } from 'vitest'
import { contains, listed, matches, matchersOf, parseMatcher, printMatcher } from '../src/lib/matchers'

describe('matchers', () => {
  it.each(['service="web"', 'route=~"/pay.*"', 'env!="dev"', 'pod!~"a|b"', 'text="a \\"b\\" \\\\ c"'])('%s reads back as written', (text) => {
    const matcher = parseMatcher(text)
    expect(matcher && printMatcher(matcher)).toBe(text)
  })
  it('accepts the short form', () => expect(parseMatcher('env=prod')).toEqual({ name: 'env', value: 'prod', isRegex: false, isEqual: true }))
  it.each(['', 'service', '="x"', '1a="x"', 'a="x', 'a=="b"'])('%j is none', (text) => expect(parseMatcher(text)).toBeNull())
  it('of an address stand between commas, but not those of a text', () => {
    expect(listed('env=prod,route=~"/a,/b\\",/c" ,, x!="1"')).toEqual(['env=prod', 'route=~"/a,/b\\",/c"', 'x!="1"'])
    expect(listed('critical,warning')).toEqual(['critical', 'warning'])
    expect(listed('env="a,b')).toEqual(['env="a,b'])
    expect(listed('')).toEqual([])
  })
  it('match whole values; a missing label is empty', () => {
    const all = [parseMatcher('route=~"/pay"'), parseMatcher('env!="dev"')].filter((one) => one !== null)
    expect(matches(all, { route: '/pay' })).toBe(true)
    expect(matches(all, { route: '/payments' })).toBe(false)
    expect(matches(all, { route: '/pay', env: 'dev' })).toBe(false)
  })
  it('leave the severity out of a silence', () => expect(matchersOf({ alertname: 'A', severity: 'critical' }).map((one) => one.name)).toEqual(['alertname']))
  it('do not fall over a regular expression of another dialect', () => {
    const wrong = parseMatcher('a=~"("')
    expect(wrong && matches([wrong], { a: '(' })).toBe(false)
  })
})

describe('the filter box', () => {
  it('wants every word, anywhere', () => {
    expect(contains('pay prod', 'Checkout /pay', { env: 'prod' })).toBe(true)
    expect(contains('pay dev', 'Checkout /pay', { env: 'prod' })).toBe(false)
    expect(contains('  ', 'anything')).toBe(true)
  })
})
