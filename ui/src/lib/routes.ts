// Which page answers which path. Overview is in the first load; every other page comes with its own chunk.

import type { Component } from 'svelte'
import Overview from '../pages/Overview.svelte'

export type Parameters = Record<string, string>
type Page = Component<{ parameters: Parameters }>
export interface Route { pattern: string; title: string; nav: string; load: () => Promise<{ default: Page }> }

const page = (pattern: string, title: string, nav: string, load: () => Promise<unknown>): Route => ({ pattern, title, nav, load: load as Route['load'] })

export const ROUTES: Route[] = [
  page('/', 'Overview', '/', async () => ({ default: Overview })),
  page('/overview', 'Overview', '/', async () => ({ default: Overview })),
  page('/alerts', 'Alerts', '/alerts', () => import('../pages/Alerts.svelte')),
  page('/alerts/:fingerprint', 'Alert', '/alerts', () => import('../pages/Alert.svelte')),
  page('/incidents', 'Incidents', '/incidents', () => import('../pages/Incidents.svelte')),
  page('/i/:number', 'Incident', '/incidents', () => import('../pages/Incident.svelte')),
  page('/incidents/:number', 'Incident', '/incidents', () => import('../pages/Incident.svelte')),
  page('/checks', 'Checks', '/checks', () => import('../pages/Checks.svelte')),
  page('/checks/:id', 'Check', '/checks', () => import('../pages/Check.svelte')),
  page('/explore', 'Explore', '/explore', () => import('../pages/Explore.svelte')),
  page('/oncall', 'On-call', '/oncall', () => import('../pages/OnCall.svelte')),
  page('/notifications', 'Notifications', '/notifications', () => import('../pages/Notifications.svelte')),
  page('/silences', 'Silences', '/silences', () => import('../pages/Silences.svelte')),
  page('/targets', 'Targets', '/targets', () => import('../pages/Targets.svelte')),
  page('/self', 'Tocsin itself', '/self', () => import('../pages/Self.svelte')),
  page('/settings', 'Settings', '/settings', () => import('../pages/Settings.svelte')),
]

export function match(pattern: string, path: string): Parameters | null {
  const wanted = pattern.split('/')
  const given = path.replace(/(.)\/$/, '$1').split('/')
  if (wanted.length !== given.length) return null
  const found: Parameters = {}
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? ''
    if (part.startsWith(':')) found[part.slice(1)] = decode(value)
    else if (part !== value) return null
  }
  return found
}

export function find(path: string): { route: Route; parameters: Parameters } | null {
  for (const route of ROUTES) {
    const parameters = match(route.pattern, path)
    if (parameters) return { route, parameters }
  }
  return null
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
