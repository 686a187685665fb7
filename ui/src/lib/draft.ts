// What a person is typing outlives the page it is typed on.

export function kept(key: string): string {
  try {
    return sessionStorage.getItem(`tocsin-${key}`) ?? ''
  } catch {
    return ''
  }
}

export function keep(key: string, text: string): void {
  try {
    if (text) sessionStorage.setItem(`tocsin-${key}`, text)
    else sessionStorage.removeItem(`tocsin-${key}`)
  } catch {
    // Storage may be forbidden; typing still works.
  }
}
