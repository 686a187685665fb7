// Action items of an incident: `follow_ups` of its remediation, which older versions and the API may have written as plain texts.

export interface Todo { text: string; owner: string; due: string; done: boolean }

export function todosOf(remediation: Record<string, unknown>): Todo[] {
  const found = Array.isArray(remediation.follow_ups) ? (remediation.follow_ups as unknown[]) : []
  return found.map(todoOf).filter((todo) => todo.text !== '')
}

function todoOf(value: unknown): Todo {
  if (typeof value === 'string') return { text: value, owner: '', due: '', done: false }
  const { text, owner, due, done } = (value ?? {}) as Record<string, unknown>
  const as = (one: unknown) => (typeof one === 'string' ? one : '')
  return { text: as(text), owner: as(owner), due: as(due), done: done === true }
}

/** One more, unless the very same stands there already. */
export function added(todos: Todo[], text: string, owner: string, due: string): Todo[] {
  const words = text.trim()
  return words === '' || todos.some((todo) => todo.text === words) ? todos : [...todos, { text: words, owner, due, done: false }]
}

export function changed(todos: Todo[], index: number, change: Partial<Todo>): Todo[] {
  return todos.map((todo, at) => (at === index ? { ...todo, ...change } : todo))
}

/** A date such as 2026-12-01 that is over, by the reader's own day. */
export function overdue(todo: Todo, today: string): boolean {
  return !todo.done && /^\d{4}-\d\d-\d\d$/.test(todo.due) && todo.due < today
}
