// Which page answers which path. Overview is in the first load; every other page comes with its own chunk.

import type { Component } from 'svelte'
import { match, type Parameters } from './match'
import Overview from '../pages/Overview.svelte'

export type { Parameters }
type Page = Component<{ parameters: Parameters }>
export interface Route { pattern: string; title: string; nav: string; load: () => Promise<{ default: Page }> }

const page = (pattern: string, title: string, nav: string, load: () => Promise<unknown>): Route => ({ pattern, title, nav, load: load as Route['load'] })

export const ROUTES: Route[] = [
  page('/', 'Overview', '/', async () => ({ default: Overview })),
  page('/overview', 'Overview', '/', async () => ({ default: Overview })),
  page('/alerts', 'Alerts', '/alerts', () => import('../pages/Alerts.svelte')),
  page('/alerts/rules', 'Rules', '/rules', () => import('../pages/Rules.svelte')),
  page('/alerts/rules/:group/:rule', 'Rule', '/rules', () => import('../pages/Rule.svelte')),
  page('/alerts/:fingerprint', 'Alert', '/alerts', () => import('../pages/Alert.svelte')),
  page('/incidents', 'Incidents', '/incidents', () => import('../pages/Incidents.svelte')),
  page('/i/:number', 'Incident', '/incidents', () => import('../pages/Incident.svelte')),
  page('/incidents/:number', 'Incident', '/incidents', () => import('../pages/Incident.svelte')),
  page('/checks', 'Checks', '/checks', () => import('../pages/Checks.svelte')),
  page('/checks/:id', 'Check', '/checks', () => import('../pages/Check.svelte')),
  page('/checks/:id/runs/:run', 'Run of a check', '/checks', () => import('../pages/Run.svelte')),
  page('/services', 'Services', '/services', () => import('../pages/Services.svelte')),
  page('/services/:name/:tab?', 'Service', '/services', () => import('../pages/Service.svelte')),
  page('/hosts', 'Hosts', '/hosts', () => import('../pages/Hosts.svelte')),
  page('/hosts/:instance', 'Host', '/hosts', () => import('../pages/Host.svelte')),
  page('/coverage', 'Coverage', '/coverage', () => import('../pages/Coverage.svelte')),
  page('/reports/:kind?', 'Reports', '/reports', () => import('../pages/Reports.svelte')),
  page('/rules', 'Rules', '/rules', () => import('../pages/Rules.svelte')),
  page('/explore', 'Explore', '/explore', () => import('../pages/Explore.svelte')),
  page('/dashboards', 'Dashboards', '/dashboards', () => import('../pages/Dashboards.svelte')),
  page('/d/:name', 'Dashboard', '/dashboards', () => import('../pages/Dashboard.svelte')),
  page('/oncall', 'On-call', '/oncall', () => import('../pages/OnCall.svelte')),
  page('/oncall/:schedule', 'On-call', '/oncall', () => import('../pages/OnCall.svelte')),
  page('/oncall/policies/:policy', 'Policy', '/oncall', () => import('../pages/Policy.svelte')),
  page('/notifications', 'Notifications', '/notifications', () => import('../pages/Notifications.svelte')),
  page('/silences', 'Silences', '/silences', () => import('../pages/Silences.svelte')),
  page('/silences/new', 'New silence', '/silences', () => import('../pages/Silences.svelte')),
  page('/maintenance', 'Maintenance', '/silences', () => import('../pages/Silences.svelte')),
  page('/maintenance/:window', 'Maintenance', '/silences', () => import('../pages/Silences.svelte')),
  page('/statuspages', 'Status pages', '/statuspages', () => import('../pages/StatusPages.svelte')),
  page('/targets', 'Targets', '/targets', () => import('../pages/Targets.svelte')),
  page('/proof', 'Is the pager alive?', '/proof', () => import('../pages/Proof.svelte')),
  page('/self', 'Tocsin itself', '/self', () => import('../pages/Self.svelte')),
  page('/settings', 'Settings', '/settings', () => import('../pages/Settings.svelte')),
  page('/settings/:section', 'Settings', '/settings', () => import('../pages/Settings.svelte')),
]

export function find(path: string): { route: Route; parameters: Parameters } | null {
  for (const route of ROUTES) {
    const parameters = match(route.pattern, path)
    if (parameters) return { route, parameters }
  }
  return null
}
