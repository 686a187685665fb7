import { describe, expect, it } from 'vitest'
import { webLink } from '../src/lib/weblink'

describe('an address that a stranger wrote', () => {
  it.each(['https://wiki.example/5xx', 'HTTP://wiki.example', '/runbooks/5xx'])('%s may be followed', (address) => expect(webLink(address)).toBe(address))
  it.each(['javascript:alert(1)', ' javascript:alert(1)', 'data:text/html,x', 'vbscript:x', '//elsewhere.example', '/\\elsewhere.example', 'mailto:x', '', undefined])('%s is text', (address) => expect(webLink(address)).toBe(''))
})
