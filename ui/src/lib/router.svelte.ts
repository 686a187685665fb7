// The address bar is the state of the page (specs: URL grammar). Unknown parameters are kept, never dropped.

import { absolute, relative } from './base'
import { live } from './live.svelte'
import { fixed, instant, span, type Range } from './timerange'

/** Travel with every link: what the whole dashboard is looking at. */
const STICKY = ['scope', 'from', 'to', 'tz', 'theme', 'kiosk', 'at']
const DEFAULT_RANGE: Range = { from: 'now-1h', to: 'now' }

type Change = Record<string, string | string[] | null>

class Router {
  path = $state(relative(location.pathname))
  search = $state.raw(new URLSearchParams(location.search))
  #scroll = new Map<string, number>()

  start() {
    history.scrollRestoration = 'manual'
    addEventListener('popstate', () => {
      this.#read()
      this.#restore(this.#scroll.get(this.#key()) ?? 0)
    })
    addEventListener('scroll', () => this.#scroll.set(this.#key(), scrollY), { passive: true })
    document.addEventListener('click', (event) => this.#click(event))
    if (!history.state) history.replaceState({ key: 0 }, '')
  }

  get(name: string): string {
    return this.search.get(name) ?? ''
  }
  all(name: string): string[] {
    return this.search.getAll(name)
  }
  list(name: string): string[] {
    return this.get(name).split(',').filter(Boolean)
  }
  get range(): Range {
    return { from: this.get('from') || DEFAULT_RANGE.from, to: this.get('to') || DEFAULT_RANGE.to }
  }
  /** The past moment that is looked at; 0 = now. */
  get at(): number {
    const text = this.get('at')
    return text ? (instant(text, live.now) ?? 0) : 0
  }
  /** What "now" is on this page: the clock, or the past moment. */
  get moment(): number {
    return this.at || live.now
  }
  /** An address of the API that knows the past moment. */
  then(path: string): string {
    return this.at ? `${path}${path.includes('?') ? '&' : '?'}at=${Math.round(this.at)}` : path
  }
  get zone(): string | undefined {
    const zone = this.get('tz')
    return zone && zone !== 'browser' && validZone(zone) ? zone : undefined
  }

  /** An address of ours with the sticky parameters; for `href`. */
  to(path: string, change: Change = {}): string {
    const [bare = '', query = ''] = path.split('?')
    const search = new URLSearchParams(query)
    for (const name of STICKY) if (!search.has(name) && this.search.has(name)) search.set(name, this.get(name))
    apply(search, change)
    return absolute(bare) + text(search)
  }

  go(path: string, change: Change = {}) {
    this.#push(this.to(path, change))
    scrollTo(0, 0)
  }

  /** Change parameters of this page. Filters replace (Back leaves the page), drill-downs push. */
  set(change: Change, push = false) {
    const search = new URLSearchParams(this.search)
    apply(search, change)
    const address = absolute(this.path) + text(search) + location.hash
    if (push) this.#push(address)
    else {
      history.replaceState(history.state, '', address)
      this.#read()
    }
  }

  setRange(range: Range) {
    const standard = range.from === DEFAULT_RANGE.from && range.to === DEFAULT_RANGE.to
    this.set({ from: standard ? null : range.from, to: range.to === 'now' ? null : range.to }, true)
  }

  /** The link to give to somebody else: it shows in an hour what it shows now. */
  share(keepRelative = false): string {
    const search = new URLSearchParams(this.search)
    if (!keepRelative) apply(search, { ...fixed(span(this.range, live.now)) })
    return location.origin + absolute(this.path) + text(search)
  }

  #push(address: string) {
    if (address === location.pathname + location.search) return
    history.pushState({ key: (Number(history.state?.key) || 0) + 1 }, '', address)
    this.#read()
  }
  #read() {
    this.path = relative(location.pathname)
    this.search = new URLSearchParams(location.search)
  }
  #key() {
    return `${history.state?.key ?? 0} ${location.pathname}`
  }
  /** The rows come after the fetch: try until the page is high enough, a second at most. */
  #restore(y: number, tries = 20) {
    if (document.documentElement.scrollHeight >= y + innerHeight || tries === 0) scrollTo(0, y)
    else setTimeout(() => this.#restore(y, tries - 1), 50)
  }

  #click(event: MouseEvent) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = (event.target as Element | null)?.closest('a')
    if (!link || link.target || link.hasAttribute('download') || link.dataset.external !== undefined || link.origin !== location.origin) return
    if (!link.pathname.startsWith(absolute('/')) || /^\/(api|metrics|login|logout|status)\b/.test(relative(link.pathname))) return
    event.preventDefault()
    if (link.hash && link.pathname === location.pathname && link.search === location.search) {
      document.getElementById(link.hash.slice(1))?.scrollIntoView()
      return
    }
    this.#push(link.pathname + link.search + link.hash)
    scrollTo(0, 0)
    document.getElementById('main')?.focus({ preventScroll: true })
  }
}

function apply(search: URLSearchParams, change: Change) {
  for (const [name, value] of Object.entries(change)) {
    search.delete(name)
    if (Array.isArray(value)) for (const one of value) search.append(name, one)
    else if (value) search.set(name, value)
  }
}

/** Addresses are read by people: what need not be escaped in a query is not. */
function text(search: URLSearchParams): string {
  const query = search.toString().replace(/%2C/g, ',').replace(/%3A/g, ':').replace(/%2F/g, '/').replace(/%7E/g, '~')
  return query && `?${query}`
}

function validZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}

export const router = new Router()
