// What the frame does for every page: the search palette and the link to the view.

import { router } from './router.svelte'
import { toasts } from './toast.svelte'

export const shell = $state({ searching: false, subject: '' })

/** Names the tab after what the page shows, for as long as it shows it: many tabs are open in an incident. */
export function entitle(subject: () => string): void {
  $effect(() => {
    shell.subject = subject()
    return () => (shell.subject = '')
  })
}

export async function copyLink(): Promise<void> {
  const link = router.share()
  try {
    await navigator.clipboard.writeText(link)
    toasts.say('Link copied. It keeps this moment: the same view for whoever opens it.')
  } catch {
    prompt('Copy this link', link) // the clipboard needs https or localhost
  }
}
