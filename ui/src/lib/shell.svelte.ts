// What the frame does for every page: the search palette and the link to the view.

import { absolute, relative } from './base'
import { post } from './client'
import { live } from './live.svelte'
import { router } from './router.svelte'
import { follows, rangeLabel } from './timerange'
import type { Shareable } from './share'
import { toasts } from './toast.svelte'

export const shell = $state({ searching: false, planning: false, subject: '', sharing: null as Shareable | null })

/** Names the tab after what the page shows, for as long as it shows it: many tabs are open in an incident. */
export function entitle(subject: () => string): void {
  $effect(() => {
    shell.subject = subject()
    return () => (shell.subject = '')
  })
}

/** Freeze the page, or go on; what the address says of it is over then. */
export function freeze(): void {
  if (router.get('refresh') === 'off') router.set({ refresh: null })
  else live.toggle()
}

/** Beyond this, mail programs and chats break an address. */
const LONGEST_LINK = 2000

/** The link to this view, fixed in time unless `keepRelative`. */
export async function copyLink(keepRelative = false): Promise<void> {
  const link = await shortened(router.share(keepRelative))
  const moves = follows(router.range) && !router.at
  const said = keepRelative ? `Link copied. It shows “${rangeLabel(router.range)}”, whenever it is opened.` : 'Link copied. It keeps this moment: the same view for whoever opens it.'
  if (await copied(link)) toasts.say(said, null, moves && !keepRelative ? { label: `Keep “${rangeLabel(router.range)}”`, work: () => copyLink(true) } : null)
}

/** False when the browser has no clipboard (it needs https or localhost): then the text was shown, to copy by hand. */
export async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    prompt('Copy this', text)
    return false
  }
}

/** A long address as `/s/...`; as it is when it is short enough, or the server would not. */
export async function shortened(link: string): Promise<string> {
  if (link.length <= LONGEST_LINK) return link
  try {
    const url = new URL(link)
    const { id } = await post<{ id: string }>('/links', { url: relative(url.pathname) + url.search + url.hash })
    return url.origin + absolute(`/s/${id}`)
  } catch (error) {
    toasts.fail('The link is long: no short one could be made', error)
    return link
  }
}
