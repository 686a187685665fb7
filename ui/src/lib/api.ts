// The JSON of /api/tocsin/v1: the contract between web/ and the dashboard. Instants are milliseconds since 1970 UTC (`_ms`), 0 = never.
// Errors are problem+json: { type, title, status, detail, request_id }.
// Writes need the header X-CSRF-Token (from GET /session) unless a bearer token is used.

export type Role = 'viewer' | 'responder' | 'admin'
export type Severity = string // ordered least first in Session.severities
export type CheckState = 'pending' | 'up' | 'degraded' | 'down' | 'unknown' | 'paused'
export type IncidentState = 'triggered' | 'acknowledged' | 'snoozed' | 'suppressed' | 'resolved' | 'merged'
export type Labels = Record<string, string>

// GET /session
export interface Session {
  user: { name: string; full_name: string; role: Role }
  csrf: string
  version: string
  external_url: string
  host: string
  severities: Severity[]
  started_ms: number
  nobody_paged: boolean // banner: no route and no person configured
  config_problems: Problem[]
}
export interface Problem { place: string; path: string; message: string; warning: boolean }

// GET /overview
export interface Overview {
  now_ms: number
  cursor: number
  sentence: string
  engine: Engine
  incidents: IncidentRow[] // open ones, worst first
  alerts: { firing: Record<Severity, number>; pending: number; suppressed: number }
  checks: { counts: Record<CheckState, number>; problems: CheckRow[] }
  services: ServiceRow[] // problem services first
  hosts: HostRow[]
  kpis: Kpi[]
  oncall: { schedule: string; who: string[]; until_ms: number }[]
  changes: ChangeRow[]
  checklist: { id: string; title: string; done: boolean }[] // first five minutes; empty when dismissed
  scope: Scoped | null // what it is narrowed to; null = of everything
}
export interface Scoped { matchers: string[]; unscoped: Record<string, string[]> } // hosts, services -> labels that do not narrow them
export interface ChangeRow { t_ms: number; actor: string; text: string; subject: string; of_all: boolean } // of_all: in a scope, but of everything
export interface Engine { ok: boolean; last_evaluation_ms: number; last_sample_ms: number; core_started_ms: number; lag_ms: number; unwritten: string } // unwritten: banner, the disk is full
export interface Kpi { id: string; title: string; value: number | null; text: string; unit: string; trend: (number | null)[]; state: 'ok' | 'warning' | 'critical' | 'none'; unscoped: string[] } // unscoped: labels of the scope that its metrics do not have
export interface HostRow {
  instance: string
  cpu: number | null // 0..1 of all cores
  memory: number | null
  disk_worst: number | null
  disk_mount: string
  inodes_worst: number | null
  load1: number | null
  cores: number
  rx_bytes_s: number | null
  tx_bytes_s: number | null
  trend: Record<'cpu' | 'memory' | 'disk' | 'network' | 'load', (number | null)[]> // last hour (of a young installation: the last minutes), evenly spaced
}
export interface ServiceRow {
  name: string
  state: 'ok' | 'warning' | 'critical' | 'unknown'
  since_ms: number
  rate: number | null
  error_ratio: number | null
  p95_s: number | null
  checks: Record<CheckState, number>
  alerts: number
  trend: (number | null)[]
  owner: string
  tier: string
  runbook: string
  repository: string
}

// GET /services -> { now_ms, cursor, services: ServiceLine[], next }; GET /services/{name} -> ServiceDetail; .../changes -> { changes: ServiceChange[], next }
export interface ServiceChange { t_ms: number; kind: string; actor: string; text: string; subject: string }
export interface ServiceLine extends ServiceRow {
  client_error_ratio: number | null
  p50_s: number | null
  p99_s: number | null
  saturation: number | null // 0..1 of what is fullest, which `saturated` names
  saturated: string
  depends_on: string[]
  last_change: ServiceChange | null
}
export interface ServiceLink { name: string; state: ServiceRow['state']; since_ms: number; alerts: number; known: boolean }
export interface ServiceDetail extends ServiceLine {
  known: boolean
  dependencies: ServiceLink[]
  callers: ServiceLink[]
  check_rows: CheckRow[]
  alert_rows: AlertRow[]
  incidents: IncidentRow[]
  now_ms: number
  cursor: number
}
// GET /slos?window=30d&service=&compare=prev -> { now_ms, slos: SloRow[], next }
export interface SloRow {
  name: string
  service: string
  owner: string
  target: number
  check: string
  query: string // PromQL, `$window` stands for a stretch of time
  window_ms: number
  value: number | null
  value_before: number | null
  budget_left: number | null // 1 = untouched, 0 = spent, below = missed
  burn: Record<string, number | null> // 1h, 6h, 3d
  gone_in_ms: number | null
  error: string
  pending: boolean
  rules: SloRule[] // of its `alert:`, quickest first
}
export interface SloRule { group: string; rule: string; window: string; severity: string }

// GET /checks?window=24h|7d|30d|90d -> CheckList; `uptime` and `strip` of its rows are of that window
export interface CheckList { now_ms: number; cursor: number; checks: CheckRow[]; next: string; window: Window; p95_s: Record<string, number>; p95_span_ms: number }
export type Window = '24h' | '7d' | '30d' | '90d'
export interface CheckRow {
  id: string
  name: string
  type: string
  target: string
  state: CheckState
  since_ms: number
  reason: string
  message: string // last result verbatim: "HTTP 503 in 212 ms"
  duration_ms: number | null
  last_ms: number
  next_ms: number
  every_ms: number
  failures: number // consecutive
  failures_needed: number
  uptime: number | null // 0..1 over 24 h, unknown time excluded
  strip: string // one letter per 30 min of the last 24 h, oldest first: u d g(degraded) k(unknown) p(paused) -(none)
  labels: Labels
  source: string // "ui" or file:line
  incident: number // open incident or 0
}
// GET /checks/{id} -> CheckDetail
export interface CheckDetail extends CheckRow {
  settings: Record<string, unknown>
  last_result: CheckResult | null
  runs: CheckRun[]
  changes: { t_ms: number; before: CheckState; after: CheckState; reason: string; message: string }[]
  uptime_by_window: Record<'24h' | '7d' | '30d' | '90d', number | null>
  latency: { t_ms: number[]; values: (number | null)[] } // seconds, last 6 h
  runbook: string
  etag: string // for If-Match: pause, resume, DELETE
  now_ms: number
  cursor: number
}
export interface CheckRun { id: number; started_ms: number; ok: boolean; reason: string; message: string; manual_by: string; result: CheckResult }
// GET /checks/{id}/runs/{run} -> RunDetail
export interface RunDetail extends CheckRun { places: PlaceOfRun[]; before: number; after: number }
export interface PlaceOfRun { location: string; verdict: 'ok' | 'degraded' | 'failed' | 'unknown' | 'silent'; t_ms: number; message: string; run: number }
export interface CheckResult {
  started_ms: number
  duration_ms: number
  ok: boolean
  degraded: boolean
  unknown: boolean
  reason: string
  message: string
  phases: { name: string; ms: number }[]
  facts: Record<string, unknown>
  location: string
  attempt: number
  start_lag_ms: number
  manual_by: string
}
// POST /checks { url } or { type, name, settings, every, labels } -> 201 CheckRow; DELETE /checks/{id} -> 204 (only source "ui")
// POST /checks/{id}/run -> CheckResult, or as application/x-ndjson lines: { run_id, location, doing, phases }..., { result } | { error }; POST /checks/{id}/pause | /resume -> CheckRow

// GET /alerts?state=firing,pending,resolved&severity=&m=&q= -> { now_ms, cursor, alerts: AlertRow[] }
export interface AlertRow {
  fingerprint: string
  name: string
  severity: Severity
  state: 'firing' | 'pending' | 'clearing' | 'resolved'
  labels: Labels
  annotations: Labels
  value: number | null
  starts_at_ms: number
  ends_at_ms: number
  fires_in_ms: number // for pending: until `for` has elapsed
  suppressed_by: { kind: string; by: string }[]
  explanation: string // one sentence: told to whom, or why not
  incident: number
  acknowledged_by: string // who has the open incident that it belongs to; empty = nobody yet
  flapping: string // why it is called flapping; empty while it is steady
  rule: { group: string; name: string; expr: string; for_ms: number; source: string }
  source: string
  strip: string // 24 h fire strip, one digit 0/1 per 30 min
}
// GET /alerts/{fingerprint} -> AlertDetail
export interface AlertDetail extends AlertRow { history: { starts_at_ms: number; ends_at_ms: number; ended_by: string; incident: number }[]; trace: TimelineEntry[]; now_ms: number; cursor: number }

// GET /rules/history?group=&rule=&days=30 -> RuleHistory
export interface RuleFiring { fingerprint: string; labels: Labels; starts_at_ms: number; ends_at_ms: number; ended_by: string; incident: number; acted: boolean }
export interface RuleSeries { fingerprint: string; labels: Labels; state: string; since_ms: number; value: number | null; note: string; fired: number }
export interface RuleHistory { now_ms: number; from_ms: number; places: string[]; fired: number; acted: number; median_ms: number | null; pages: number; real: number; noise: number; series: RuleSeries[]; firings: RuleFiring[] }

// GET /incidents?state=open|resolved|all&severity=&q= -> { now_ms, cursor, incidents: IncidentRow[] }
export interface IncidentRow {
  number: number
  title: string
  severity: Severity
  urgency: 'high' | 'low'
  state: IncidentState
  service: string
  created_ms: number
  acknowledged_ms: number
  acknowledged_by: string
  resolved_ms: number
  resolved_by: string
  snoozed_until_ms: number
  next_escalation_at_ms: number
  next_escalation_to: string
  alerts_firing: number
  alerts_total: number
  receiver: string
  policy: string
  version: number
  assignee: string // added 10:25: who it was assigned to
  affected: number // alerts that stand behind it, of what depends on it
  flapping: string // why it is called flapping; empty while it is steady or over
}
// GET /incidents/{n} -> IncidentDetail
export interface IncidentDetail extends IncidentRow {
  group_labels: Labels
  alerts: AlertRow[]
  timeline: TimelineEntry[]
  notifications: NotificationRow[]
  why: WhyRow[]
  remediation: Record<string, unknown>
  verdict: '' | 'real' | 'noise' | 'duplicate'
  similar: SimilarIncident[]
  changes: IncidentChange[] // deploys and other marks from two hours before it to its end, oldest first
  runbook: string
  graph: { query: string; from_ms: number; to_ms: number; threshold: number | null } | null
  policy_steps: { index: number; targets: string[]; delay_ms: number; executed_ms: number }[]
  merged_into: number // added 10:25: 0 = not merged
  previous: number // added 10:25: the incident of this group before, 0 = none
  split_from?: number // the incident that these alerts were split off, 0 = none
  linked?: number[] // incidents about the same alerts that page other people
  receivers?: string[] // whose groups it is about, in the order in which they came
  now_ms: number
  cursor: number
}
export interface TimelineEntry { id: number; t_ms: number; actor: string; verb: string; text: string; cause: string; data: Record<string, unknown> }
export interface SimilarIncident { number: number; title: string; created_ms: number; resolved_ms: number; remediation: string; action: string; cause: string; held: boolean | null; verdict: string }
export interface IncidentChange { id: number; t_ms: number; kind: string; service: string; text: string }
export interface WhyRow { who: string; told: boolean; text: string; t_ms: number; channel: string; state: string }
// POST /incidents/{n}/acknowledge | unacknowledge | resolve | escalate -> IncidentRow; body { version? }
// POST /incidents/{n}/merge { into }; /split { alerts: fingerprint[], title? } -> the NEW IncidentRow
// POST /incidents/{n}/view: somebody looks at it (any role); a line in its timeline, once an hour and person
// POST /incidents/{n}/snooze { until_ms }; /note { text }; /verdict { verdict }; /assign { to }
// POST /incidents/{n}/remediation { action?, summary?, cause?, held?, follow_ups?, links? }; what is left out stays. GET /incidents/{n}/export.md

// GET /notifications?incident=&channel=&state=&recipient=&kind=&from=&to=&q= -> { now_ms, cursor, notifications: NotificationRow[] }
export interface NotificationRow {
  id: string
  incident: number
  kind: string
  channel: string
  address: string
  recipient: string
  reason: string
  state: string
  state_reason: string
  due_at_ms: number
  created_ms: number
  sent_ms: number
  done_ms: number
  attempts: number
  provider_id: string
  possible_repeat: boolean // added 10:25: the answer to an earlier attempt was lost
  attempt_log: { n: number; started_ms: number; ended_ms: number; outcome: string; status: number; reason: string }[]
}
// GET /notifications/{id} -> NotificationDetail: what it said, as text, without secrets
export interface NotificationDetail extends NotificationRow { body: string; said_ms: number; template: string }
// POST /notifications/{id}/retry -> NotificationRow; POST /notifications/test { user | receiver } -> NotificationRow[]

// GET /silences -> { now_ms, cursor, silences: SilenceRow[], next }; GET /silences/{id} -> SilenceRow
export interface SilenceRow {
  id: string
  matchers: { name: string; value: string; isRegex: boolean; isEqual: boolean }[]
  starts_at_ms: number
  ends_at_ms: number
  created_by: string
  comment: string
  state: 'pending' | 'active' | 'expired'
  matching_now: number
  etag: string // for If-Match: POST /silences with `id`, DELETE
}
// POST /silences { matchers, starts_at_ms?, ends_at_ms, comment, id? } -> 201 SilenceRow; DELETE /silences/{id} -> 204
// POST /silences/preview { matchers } -> { now: AlertRow[], last_7d: number, warning: string, cannot_be_silenced: number }

// GET /targets -> { targets: TargetRow[], next }
export interface TargetRow { job: string; instance: string; url: string; up: boolean | null; last_ms: number; duration_s: number; samples: number; error: string; labels: Labels }

// GET /oncall/overrides -> { overrides: { id, schedule, start_ms, end_ms, users: string[], mode: 'set' | 'add', created_by, created_ms }[] } (added 10:57)
// POST /oncall/overrides { schedule, start_ms, end_ms, users, mode? } -> 201; DELETE /oncall/overrides/{id} -> 204
// GET /schedules/{name}/shifts?from=&until= (RFC 3339) -> { shifts: { start, end, users }[] }; uncovered time is left out
// POST /explain { query, from_ms, to_ms, base_from_ms?, base_to_ms? } -> { query, rows: { label, value, share, base_share, shift, matcher }[], even: string[], series, cut } (added 10:35)
// GET /oncall -> { schedules: [...], policies: [...], people: [...] }
// GET /schedules/{name}/oncall?at= -> { at, users, why }; /shifts?from=&until= -> { shifts: { start, end, users }[] }; /gaps -> { gaps: { start, end }[] }; /next-change?after= -> { at: string | null, users }; instants RFC 3339 UTC
// GET /incidents/analytics?from=&to= -> { from_ms, to_ms, incidents, acknowledged, resolved, reopened, mtta_ms, median_tta_ms, mttr_ms, median_ttr_ms, severities: [...], people: { who, pages, weeks: { start_ms, pages }[] }[], rules: { rule, incidents, pages, real, noise, duplicate, precision, quick, never_acknowledged }[] }
// GET /analytics = GET /incidents/analytics, which also has pages, median_first_page_ms, answered_by: { via, count }[], weeks: { start_ms, incidents, mtta_ms, mttr_ms, real, noise, duplicate, pages, work, sleep, off, ... }[] (no holes), people also { work, sleep, off } (their own hours), recurring: { title, severity, times, last, last_ms, last_fix }[]
// GET /schedules/{name}/changes?from=&until= -> { changes: { at, before: string[], after: string[] }[] }
// GET /schedules/{name}/fairness?from=&until= -> { people: { who, seconds, shifts, nights, work, sleep, off, share }[], balance, coverage }
// GET /schedules/{name}/month?month=2026-11 -> { month, days: { date, in_month, start_ms, end_ms, segments: { start_ms, end_ms, users }[], gap_seconds }[] }
// GET /oncall/feeds -> { feeds: { id, schedule, person, created_by, created_ms, used_ms }[] }; POST /oncall/feeds { schedule?, person? } -> 201 { id, url } (shown once); DELETE /oncall/feeds/{id} -> 204
// GET /me/contacts -> { person, contacts: ContactRow[], channels: string[] } (404 no_person: the account is nobody of the file); POST /me/contacts { channel, address, name? } -> 201 ContactRow, a code is sent
// POST /me/contacts/{id}/code -> 202 ContactRow; POST /me/contacts/{id}/verify { code } -> ContactRow (422 wrong_code); DELETE /me/contacts/{id} -> 204
// GET /me/quiet-hours -> OwnQuietHours (lib/quiethours.ts); PUT { from, to, days?, time_zone?, allow? } -> the same (409 declared: the file says them); DELETE -> 204; administrators: /people/{person}/quiet-hours
// ContactRow: { id, channel, address, verified, verified_ms, source: 'file' | 'added', code_expires_ms }
// GET /reports -> { reports: { id, name, title, start_ms, end_ms, created_ms, created_by, summary: string[] }[] }; GET /reports/{id} -> the whole report (docs/reference/reports.md); GET /reports/{id}.html -> file
// POST /reports { from_ms?, until_ms?, title? } -> 201 the report, kept; GET /reports/preview?from=&until= -> one that is not kept; the page /reports/{id} is served as HTML
// GET /incidents/{n}/export.md -> text/markdown
// POST /schedules/evaluate { schedule, queries } -> { answers }; GET /schedules/{name}.ics?user= -> text/calendar
// GET /self -> { processes: [{ name, pid, started_ms, restarts, lag_ms, rss_bytes }], metrics: { [name]: number }, config: { files, problems, loaded_ms } }
// POST /selftest { to?, urgent? } -> { ok, to, incident, hops: { name, ok, t_ms, after_ms, text }[] } (up to minutes); POST /drill -> NotificationRow[]; GET /self also has path, dead_man, ways, drill (lib/proof.ts)
// GET /search?q= -> { results: { kind, title, url }[] }

// Lists of alerts (state=resolved), incidents and notifications answer `next`: pass it as ?cursor= for the next page; '' = the last one. ?limit= up to 1000.
// GET /config -> { files, problems: Problem[], loaded_ms, yaml, nobody_paged } with ETag; secrets are stars
// POST /links { url: '/explore?...' } -> { id, url }; POST /markers { kind, service, text, t_ms?, data? } -> { id, ... }
// GET /audit?limit=&cursor= (admin) -> { events: TimelineEntry[], next }
// GET /me/totp -> { secret, url, active }; POST /me/totp { secret, code } -> 204; POST /me/password { old, new } -> 204
// GET /accounts (admin) -> { accounts: AccountRow[] }; POST /accounts { name, role, full_name?, email?, password? } -> 201 AccountRow; PATCH /accounts/{name}
export interface AccountRow { name: string; full_name: string; email: string; role: Role; disabled: boolean; has_password: boolean; has_totp: boolean; passkeys: number; created_ms: number; seen_ms: number; etag: string }
// GET /tokens (admin) -> { tokens: TokenRow[] }; POST /tokens { name, role, expires_ms? } -> 201 { token, id }; DELETE /tokens/{id} -> 204. role may also be 'sender', or 'probe' with a `place` that it is bound to
export interface TokenRow { id: string; name: string; role: string; created_ms: number; expires_ms: number; used_ms: number; created_by: string; place: string }
// GET /openapi.json describes all of this. POST /logout ends the session (303 to /login). 401 on any call: send the browser to /login?next=<path>.

// GET /dashboards -> { dashboards: { name, title, description, panels, source }[] }; GET /dashboards/{name} (lib/board.ts); GET /dashboards/{name}/grafana.json
// GET /markers?from=&to=&service= -> { markers: { id, t_ms, kind, service, text, data }[] }, oldest first, and next: what was before them
// POST /explain: rows also carry `query`, the query as asked, narrowed by the row's matcher
// GET /coverage -> { findings: { kind, subject, text }[], watched }
// GET /maintenance -> { now_ms, cursor, windows: MaintenanceRow[], next } (lib/maintenance.ts); POST /maintenance {name, matchers, start, end | duration, rrule?, ...} -> 201
// PUT | DELETE /maintenance/{id}; POST /maintenance/{id}/end; POST /maintenance/preview { window, id? } -> { upcoming, now, last_7d, checks }
// GET /status-pages -> { now_ms, cursor, pages: StatusPageRow[], next } (lib/statuspages.ts); POST /status-pages/{slug}/updates { state, text, title?, incident? | story?, components? } -> 201
// GET | PATCH | DELETE /status-pages/{slug}/updates/{id}
// If-Match: `etag` of a row, or the ETag of one thing's own answer, on every write that edits a thing; 412 with the current ETag when somebody was first. Any list: `next` as ?cursor=.
// POST /config/preview { text } (admin) -> { jobs, checks, people, files, problems }; nothing is taken over
// ?at=<RFC 3339 or ms> on /overview, /alerts, /alerts/{fingerprint}, /incidents, /incidents/{n}, /checks, /checks/{id}, /silences, /oncall, /maintenance: as it was then

// GET /stream?cursor=  (Server-Sent Events): event `change`, data { id, topics: string[], subjects: string[] }; event `reset`; event `beat`, data { now_ms, engine: Engine }
// Explore uses the Prometheus API: /api/v1/query_range, /api/v1/query, /api/v1/labels, /api/v1/label/{name}/values, /api/v1/metadata
