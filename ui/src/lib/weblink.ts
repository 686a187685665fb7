// Addresses that strangers write (annotations, configuration of others) and people may follow.

/** The address when it leads to a page of the web or of ours; empty for anything else: `javascript:`, `data:`, `//elsewhere`. */
export const webLink = (address: string | null | undefined): string => (/^(https?:\/\/|\/(?![/\\]))/i.test(address ?? '') ? (address ?? '') : '')
