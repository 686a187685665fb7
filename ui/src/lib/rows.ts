// j and k through the rows of any list: whatever carries data-row.

const rows = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('#main [data-row]')]
const current = (): HTMLElement | null => document.querySelector('#main [data-row][data-current]')

export function step(by: 1 | -1): void {
  const all = rows()
  const before = current()
  const index = before ? all.indexOf(before) + by : by > 0 ? 0 : all.length - 1
  const next = all[Math.max(0, Math.min(all.length - 1, index))]
  if (!next) return
  before?.removeAttribute('data-current')
  next.setAttribute('data-current', '')
  next.scrollIntoView({ block: 'nearest' })
  next.querySelector<HTMLElement>('a')?.focus({ preventScroll: true })
}

/** The button for all that is selected, or the row's own link, checkbox or button, or without a row the page's; false when there is none. */
export function press(selector: string): boolean {
  const place = current() ?? document.getElementById('main')
  const found = document.querySelector<HTMLElement>(`#main [data-bulk] ${selector}`) ?? place?.querySelector<HTMLElement>(selector)
  if (found instanceof HTMLSelectElement) advance(found)
  else found?.click()
  return found !== null && found !== undefined
}

/** A choice goes on to its next value, and from the last to the first. */
function advance(select: HTMLSelectElement): void {
  select.selectedIndex = (select.selectedIndex + 1) % select.options.length
  select.dispatchEvent(new Event('change', { bubbles: true }))
}
