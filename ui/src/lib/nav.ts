// The pages of the rail, in the order of an ordinary day; `bar` = also at the bottom of a phone.

import type { IconName } from '../components/Icon.svelte'
import { summary } from './summary.svelte'

export interface Item { path: string; label: string; icon: IconName; bar?: boolean; count?: () => number; urgent?: () => boolean }

export const ITEMS: Item[] = [
  { path: '/', label: 'Overview', icon: 'overview', bar: true },
  { path: '/alerts', label: 'Alerts', icon: 'alerts', bar: true, count: () => summary.firing, urgent: () => summary.critical > 0 },
  { path: '/incidents', label: 'Incidents', icon: 'incidents', bar: true, count: () => summary.incidents, urgent: () => summary.unacknowledged > 0 },
  { path: '/services', label: 'Services', icon: 'services' },
  { path: '/checks', label: 'Checks', icon: 'checks', bar: true, count: () => summary.problems },
  { path: '/hosts', label: 'Hosts', icon: 'hosts' },
  { path: '/explore', label: 'Explore', icon: 'explore' },
  { path: '/dashboards', label: 'Dashboards', icon: 'dashboards' },
  { path: '/reports', label: 'Reports', icon: 'reports' },
  { path: '/oncall', label: 'On-call', icon: 'oncall' },
]
export const MORE: Item[] = [
  { path: '/rules', label: 'Rules', icon: 'rules' },
  { path: '/silences', label: 'Silences', icon: 'silences' },
  { path: '/notifications', label: 'Notifications', icon: 'notifications' },
  { path: '/statuspages', label: 'Status pages', icon: 'statuspages' },
  { path: '/targets', label: 'Targets', icon: 'targets' },
  { path: '/coverage', label: 'Coverage', icon: 'coverage' },
  { path: '/proof', label: 'Proof', icon: 'proof' },
  { path: '/self', label: 'Tocsin itself', icon: 'self' },
  { path: '/settings', label: 'Settings', icon: 'settings' },
]
