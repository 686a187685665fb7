// The address bar is the state of the page (specs: URL grammar). Unknown parameters are kept, never dropped.

import { comeBack, comeTo } from './arrive'
import { absolute, relative } from './base'
import { live } from './live.svelte'
import { listed, parseMatcher, printMatcher } from './matchers'
import { drawersOf, Places } from './places'
import { fixed, instant, span, type Range } from './timerange'
import { preferred, zoneOf } from './zone.svelte'

/** Travel with every link: what the whole dashboard is looking at. */
const STICKY = ['scope', 'from', 'to', 'tz', 'theme', 'kiosk', 'rotate', 'pages', 'refresh', 'at']
const DEFAULT_RANGE: Range = { from: 'now-1h', to: 'now' }

type Change = Record<string, string | string[] | null>

class Router {
  path = $state(relative(location.pathname))
  search = $state.raw(new URLSearchParams(location.search))
  #places = new Places()

  start() {
    history.scrollRestoration = 'manual'
    addEventListener('popstate', () => {
      this.#read()
      this.#arrive()
    })
    addEventListener('scroll', () => (this.#place.y = scrollY), { passive: true })
    addEventListener('pagehide', () => this.#places.save(sessionStorage))
    document.addEventListener('toggle', (event) => this.#toggled(event.target), true)
    document.addEventListener('click', (event) => this.#click(event))
    if (history.state) this.#places.load(sessionStorage) // a reload, or back from elsewhere
    else history.replaceState({ key: 0 }, '')
    this.#arrive()
  }

  get(name: string): string {
    return this.search.get(name) ?? ''
  }
  all(name: string): string[] {
    return this.search.getAll(name)
  }
  list(name: string): string[] {
    return listed(this.get(name))
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
  /** The scope as PromQL writes it: what the server is asked for. */
  get scope(): string[] {
    return this.list('scope').map(parseMatcher).filter((one) => one !== null).map(printMatcher)
  }
  /** An address of the API that knows the scope. */
  scoped(path: string): string {
    const search = new URLSearchParams(this.scope.map((one) => ['scope', one]))
    return search.size ? `${path}?${search}` : path
  }
  get zone(): string | undefined {
    return zoneOf(this.get('tz'), preferred.zone)
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
    if (!keepRelative) apply(search, { ...fixed(span(this.range, this.moment)) })
    return location.origin + absolute(this.path) + text(search) + location.hash
  }

  /** Go to another page in place of this one: a wallboard turns pages for months. */
  turnTo(path: string, change: Change = {}) {
    history.replaceState(history.state, '', this.to(path, change))
    this.#read()
    scrollTo(0, 0)
  }

  /** What a page remembers of this step of the history beside its address (what was ticked): there again on Back, not on a new visit. */
  kept<T>(name: string, otherwise: T): T {
    return (this.#place.kept[name] as T | undefined) ?? otherwise
  }
  keep(name: string, value: unknown) {
    this.#place.kept[name] = value
  }

  #push(address: string) {
    if (address === location.pathname + location.search) return
    const step = (Number(history.state?.key) || 0) + 1
    this.#places.forgetFrom(step)
    history.pushState({ key: step }, '', address)
    this.#read()
  }
  #read() {
    this.path = relative(location.pathname)
    this.search = new URLSearchParams(location.search)
  }
  get #place() {
    return this.#places.at(`${history.state?.key ?? 0} ${location.pathname}`)
  }
  #arrive() {
    const place = this.#place
    if (place.y || Object.keys(place.drawers).length) comeBack(place)
    else if (location.hash) comeTo(location.hash)
    else scrollTo(0, 0)
  }
  #toggled(drawer: EventTarget | null) {
    const main = document.getElementById('main')
    if (!(drawer instanceof HTMLDetailsElement) || !main?.contains(drawer)) return
    // What lies over the page is a menu: nobody wants it open when they come back.
    if (drawer.lastElementChild && getComputedStyle(drawer.lastElementChild).position === 'absolute') return
    for (const [name, one] of drawersOf(main)) if (one === drawer) this.#place.drawers[name] = drawer.open
  }

  #click(event: MouseEvent) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = (event.target as Element | null)?.closest('a')
    if (!link || link.target || link.hasAttribute('download') || link.dataset.external !== undefined || link.origin !== location.origin) return
    if (!link.pathname.startsWith(absolute('/')) || /^\/(api|metrics|login|logout|status)\b/.test(relative(link.pathname))) return
    event.preventDefault()
    if (link.hash && link.pathname === location.pathname && link.search === location.search) {
      history.replaceState(history.state, '', link.href)
      comeTo(link.hash)
      return
    }
    this.#push(link.pathname + link.search + link.hash)
    scrollTo(0, 0)
    if (link.hash) comeTo(link.hash)
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

export const router = new Router()
