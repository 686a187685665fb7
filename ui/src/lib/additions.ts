// Imports and the forms of the first steps: what the server answers, and the lines that people copy.

import type { Problem } from './api'

// POST /additions/plan: nothing is changed by it
export interface Look { url: string; error: string; samples: number; count: number; metrics: { name: string; type: string; help: string }[] }
export interface Taken { what: string; name: string; note: string }
export interface Plan { taken: Taken[]; left: Problem[]; problems: Problem[]; changes: string[]; ok: boolean; seen: string; looks: Look[] }
// POST /additions, POST /additions/person
export interface Added { id: string; taken: Taken[]; left: Problem[] }
// GET /additions
export interface Addition { id: string; title: string; kind: string; created_by: string; created_ms: number; text: string; files: string[] }
export interface GivenFile { name: string; text: string }

export type ImportKind = 'scrape' | 'kuma' | 'prometheus' | 'alertmanager' | 'grafana'
interface About { title: string; hint: string; label: string; placeholder: string; accept: string }

export const IMPORTS: Record<ImportKind, About> = {
  scrape: { title: 'Scrape something', hint: 'One address that serves metrics, or a whole prometheus.yml.', label: 'host:port/metrics, or a prometheus.yml', placeholder: '127.0.0.1:9100', accept: '.yml,.yaml' },
  kuma: {
    title: 'Monitors of Uptime Kuma',
    hint: '1.x: Settings, Backup, Export. 2.x has no export: sqlite3 -json kuma.db "select * from monitor" writes what can be read here.',
    label: 'The backup, or the rows of the table', placeholder: '{"monitorList": [{"name": "Shop", "type": "http", "url": "https://shop.example"}]}', accept: '.json',
  },
  prometheus: { title: 'prometheus.yml and rules', hint: 'Choose the file together with its rule files: jobs keep their intervals, rules their names.', label: 'prometheus.yml, or a rule file', placeholder: 'scrape_configs:\n  - job_name: shop\n    static_configs:\n      - targets: ["shop.example:9100"]', accept: '.yml,.yaml,.rules' },
  alertmanager: { title: 'alertmanager.yml', hint: 'Choose the file together with its templates. It is taken whole, where no route is written yet.', label: 'alertmanager.yml', placeholder: 'route: {receiver: ops}\nreceivers:\n  - name: ops\n    webhook_configs: [{url: "https://ops.example/hook"}]', accept: '.yml,.yaml,.tmpl,.tpl' },
  grafana: { title: 'Dashboards of Grafana', hint: 'Share, Export, classic JSON. Every query is tried; panels with pictures of ours become a dashboard to read.', label: 'Dashboard JSON', placeholder: '{"title": "Shop", "panels": [...]}', accept: '.json' },
}

const SINGULAR: Record<string, [string, string]> = {
  job: ['scrape job', 'scrape jobs'], rules: ['group of rules', 'groups of rules'], route: ['routing tree', 'routing trees'], receiver: ['receiver', 'receivers'],
  check: ['check', 'checks'], dashboard: ['dashboard', 'dashboards'], panel: ['panel', 'panels'], variable: ['variable', 'variables'], templates: ['template file', 'template files'],
  user: ['person', 'people'], schedule: ['schedule', 'schedules'], policy: ['policy', 'policies'], inhibition: ['inhibition', 'inhibitions'], 'time interval': ['time interval', 'time intervals'],
}

/** `2 scrape jobs, 1 group of rules`. */
export function counted(taken: Taken[]): string {
  const counts = new Map<string, number>()
  for (const one of taken) counts.set(one.what, (counts.get(one.what) ?? 0) + 1)
  return [...counts].map(([what, count]) => `${count} ${(SINGULAR[what] ?? [what, `${what}s`])[count === 1 ? 0 : 1]}`).join(', ')
}

/** Of the same kind one after the other, in the order in which the kinds first appear. */
export function grouped(taken: Taken[]): { what: string; rows: Taken[] }[] {
  const groups = new Map<string, Taken[]>()
  for (const one of taken) groups.set(one.what, [...(groups.get(one.what) ?? []), one])
  return [...groups].map(([what, rows]) => ({ what, rows }))
}

/** Where what was taken is seen. */
export function placeOf(taken: Taken[]): { path: string; label: string } | null {
  const places: [string, string, string][] = [['check', '/checks', 'See the checks'], ['job', '/targets', 'See the targets'], ['dashboard', '/dashboards', 'See the dashboards'], ['rules', '/rules', 'See the rules'], ['receiver', '/settings/channels', 'Test the receivers']]
  const found = places.find(([what]) => taken.some((one) => one.what === what))
  return found ? { path: found[1], label: found[2] } : null
}

/** What was typed, as files: one address may carry the name of its service. */
export function given(chosen: GivenFile[], typed: string, service: string): GivenFile[] {
  const text = typed.trim()
  if (!text) return chosen
  const address = !/\s/.test(text)
  return [...chosen, { name: address ? 'the address' : 'the pasted text', text: address && service.trim() ? `${text} service=${service.trim()}` : typed }]
}

export type Framework = 'FastAPI' | 'Django' | 'Flask'
export const INSTALL = 'pip install ./instrument'
/** The three lines of each framework; tests/instrument runs them. */
export const MIDDLEWARE: Record<Framework, string> = {
  FastAPI: 'from tocsin_instrument.fastapi import instrument\n\ninstrument(app)  # requests, errors, latency; GET /metrics',
  Django: 'MIDDLEWARE = ["tocsin_instrument.django.MetricsMiddleware", *MIDDLEWARE]  # settings.py\n\nfrom tocsin_instrument.django import metrics  # urls.py\nurlpatterns = [*urlpatterns, path("metrics", metrics)]',
  Flask: 'from tocsin_instrument.flask import instrument\n\ninstrument(app)  # requests, errors, latency; GET /metrics',
}

export type Way = 'email' | 'ntfy' | 'slack' | 'discord' | 'msteams' | 'mattermost' | 'telegram' | 'webhook'
export interface WayField { id: string; label: string; placeholder: string; secret?: boolean; optional?: boolean }
export interface WayForm { id: Way; label: string; address: string; placeholder: string; fields: WayField[] }
export const WAYS: WayForm[] = [
  { id: 'ntfy', label: 'ntfy (push to a phone)', address: 'Topic', placeholder: 'shop-alerts-8f2c', fields: [{ id: 'server', label: 'Server', placeholder: 'https://ntfy.sh', optional: true }, { id: 'token', label: 'Access token', placeholder: '', secret: true, optional: true }] },
  {
    id: 'email', label: 'E-mail', address: 'Your address', placeholder: 'ana@shop.example',
    fields: [
      { id: 'smarthost', label: 'Mail server', placeholder: 'mail.shop.example:587' }, { id: 'from', label: 'Sender', placeholder: 'tocsin@shop.example' },
      { id: 'username', label: 'User of the mail server', placeholder: '', optional: true }, { id: 'password', label: 'Its password', placeholder: '', secret: true, optional: true },
    ],
  },
  { id: 'slack', label: 'Slack', address: 'Incoming webhook', placeholder: 'https://hooks.slack.com/services/…', fields: [] },
  { id: 'telegram', label: 'Telegram', address: 'Chat id', placeholder: '123456789', fields: [{ id: 'bot_token', label: 'Token of the bot', placeholder: '', secret: true }] },
  { id: 'msteams', label: 'Microsoft Teams', address: 'Workflow address', placeholder: 'https://…', fields: [] },
  { id: 'discord', label: 'Discord', address: 'Webhook', placeholder: 'https://discord.com/api/webhooks/…', fields: [] },
  { id: 'mattermost', label: 'Mattermost', address: 'Webhook', placeholder: 'https://chat.shop.example/hooks/…', fields: [] },
  { id: 'webhook', label: 'Webhook', address: 'Address', placeholder: 'https://ops.shop.example/alerts', fields: [] },
]
