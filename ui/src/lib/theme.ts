// Light, dark, contrast, or what the system says. `?theme=` wins over what was chosen here before.

export type Theme = 'system' | 'light' | 'dark' | 'contrast'
export const THEMES: Theme[] = ['system', 'light', 'dark', 'contrast']
const KEY = 'tocsin-theme'

export function currentTheme(parameter: string): Theme {
  const stored = parameter || read()
  return THEMES.includes(stored as Theme) ? (stored as Theme) : 'system'
}

export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

export function rememberTheme(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  applyTheme(theme)
}

function read(): string {
  try {
    return localStorage.getItem(KEY) ?? ''
  } catch {
    return ''
  }
}
