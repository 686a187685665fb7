// Coming to a place of a page whose rows arrive after the fetch: tried until they are there, a few seconds at most, and given up at
// once when the person begins to move by themselves.

import { drawersOf, type Place } from './places'

const EVERY_MS = 50
const MOST_TRIES = 100
const MOVES = ['wheel', 'touchstart', 'pointerdown', 'keydown'] as const

let stop: () => void = () => {}

/** Scroll and drawers as they were. */
export function comeBack(place: Place): void {
  const { y } = place // as it is now: while the page is still short, the browser scrolls it up, and that is remembered, too
  const wanted = new Map(Object.entries(place.drawers))
  persist(() => {
    const there = drawersOf(document.getElementById('main') ?? document)
    for (const [name, open] of wanted) {
      const drawer = there.get(name)
      if (!drawer) continue
      if (drawer.open !== open) drawer.open = open
      wanted.delete(name)
    }
    const high = document.documentElement.scrollHeight >= y + innerHeight
    if (high) scrollTo(0, y)
    return high && wanted.size === 0
  }, () => scrollTo(0, y))
}

/** The row, panel or entry that an address ends with. */
export function comeTo(hash: string): void {
  const id = decodeURIComponent(hash.slice(1))
  if (!id) return
  persist(() => {
    const found = document.getElementById(id)
    if (!found) return false
    if (found instanceof HTMLDetailsElement) found.open = true
    document.querySelector('[data-meant]')?.removeAttribute('data-meant')
    found.setAttribute('data-meant', '')
    found.scrollIntoView({ block: found.offsetHeight > innerHeight / 2 ? 'start' : 'center' })
    return true
  })
}

function persist(attempt: () => boolean, last: () => void = () => {}): void {
  stop()
  let tries = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const end = () => {
    clearTimeout(timer)
    for (const move of MOVES) removeEventListener(move, end)
  }
  const again = () => {
    if (attempt()) return end()
    if (++tries < MOST_TRIES) timer = setTimeout(again, EVERY_MS)
    else {
      last()
      end()
    }
  }
  stop = end
  for (const move of MOVES) addEventListener(move, end, { passive: true })
  again()
}
