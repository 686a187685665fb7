// Answers shaped exactly as src/lib/api.ts: a small shop with one open incident. A development tool, never shipped.

const S = 1000
const M = 60 * S
const H = 60 * M
export const SIZE = Number(process.env.CHECKS ?? 38)

// Always the same world: a little generator with a seed.
let seed = 42
const random = () => ((seed = (seed * 1103515245 + 12345) % 2147483648), seed / 2147483648)
const wave = (count, base, swing, noise = 0.1) => Array.from({ length: count }, (_, i) => Math.max(0, base + swing * Math.sin(i / 4) + base * noise * (random() - 0.5)))
const pick = (list) => list[Math.floor(random() * list.length)]

const NAMES = ['shop front page', 'checkout api', 'payments gateway', 'search', 'accounts', 'image cdn', 'mail relay', 'db primary', 'db replica', 'redis cache', 'www certificate', 'dns shop.example', 'nightly backup', 'stock import', 'status page', 'partner api', 'admin', 'metrics endpoint']
const TYPES = ['http', 'tcp', 'tls', 'dns', 'icmp', 'postgres', 'redis', 'heartbeat']
const SERVICES = ['checkout', 'payments', 'web', 'search', 'data']

export function world() {
  const now = Date.now()
  seed = 42
  const checks = Array.from({ length: SIZE }, (_, i) => check(i, now))
  const alerts = [
    alert('9f3a5c0011aa22bb', 'CheckoutErrorRateCritical', 'critical', 'firing', 14 * M, { service: 'checkout', team: 'payments' }, 0.072, 'checkout answers 7.2 % of requests with 5xx (limit 5 %)', 'Ana was paged at once: primary of payments, step 1 of 3.', 1042, now),
    alert('2b88ff0011aa22cc', 'CheckoutLatencyWarning', 'warning', 'firing', 13 * M, { service: 'checkout', route: '/pay', team: 'payments' }, 1.9, 'p95 of checkout is 1.9 s (limit 1 s)', 'Not told apart: grouped into incident #1042.', 1042, now),
    alert('77de0011aa22ddee', 'DatabasePoolNearlyFull', 'warning', 'firing', 12 * M, { service: 'checkout', pool: 'primary', instance: 'api-2:8000' }, 0.92, 'Pool primary of checkout is 92 % in use', 'Not told: inhibited by CheckoutErrorRateCritical.', 0, now, [{ kind: 'inhibited', by: '9f3a5c0011aa22bb' }]),
    alert('10aa0011aa22ff01', 'CertificateExpiresSoon', 'warning', 'firing', 2 * H, { service: 'web', check: 'www-certificate' }, 9, 'The certificate of www.shop.example expires in 9 days', 'Ben was told by e-mail; low urgency pages nobody at night.', 1041, now),
    alert('10aa0011aa22ff02', 'DiskWillFill', 'warning', 'pending', 4 * M, { instance: 'db-2', mountpoint: '/var' }, 0.83, '/var on db-2 is full in 3 days at this rate', '', 0, now),
  ]
  const incidents = [
    incident(1042, 'checkout: 7.2 % of requests fail (limit 5 %)', 'critical', 'triggered', 14 * M, { service: 'checkout', alerts_firing: 2, alerts_total: 3, next_escalation_at_ms: now + 3 * M + 12 * S, next_escalation_to: 'Ben (secondary)' }, now),
    incident(1041, 'www.shop.example: certificate expires in 9 days', 'warning', 'acknowledged', 2 * H, { service: 'web', acknowledged_by: 'ben', acknowledged_ms: now - 110 * M, urgency: 'low' }, now),
  ]
  const old = Array.from({ length: 9 }, (_, i) =>
    incident(1040 - i, pick(['search: p95 above 1 s', 'db-2: disk 91 % full', 'payments gateway does not answer', 'checkout: 6 % of requests fail']), pick(['critical', 'warning', 'warning']), 'resolved', (i + 1) * 17 * H, { service: pick(SERVICES), acknowledged_by: pick(['ana', 'ben', 'chi']), acknowledged_ms: now - (i + 1) * 17 * H + 2 * M, resolved_ms: now - (i + 1) * 17 * H + (20 + i * 7) * M, alerts_firing: 0 }, now),
  )
  return { now, checks, alerts, incidents, old }
}

function check(i, now) {
  const name = i < NAMES.length ? NAMES[i] : `${pick(['shop', 'api', 'edge', 'batch', 'node'])}-${i} ${pick(['health', 'ready', 'login', 'port'])}`
  const type = i === 10 ? 'tls' : i === 12 ? 'heartbeat' : pick(TYPES)
  const state = i === 1 ? 'down' : i === 3 ? 'degraded' : i === 12 ? 'unknown' : i === 15 ? 'paused' : i === 17 ? 'pending' : SIZE > 100 && random() < 0.01 ? 'down' : 'up'
  const letters = Array.from({ length: 48 }, () => (random() < 0.02 ? pick(['d', 'g', 'k']) : 'u'))
  if (state === 'down') letters.splice(46, 2, 'g', 'd')
  if (state === 'degraded') letters.splice(47, 1, 'g')
  if (state === 'unknown') letters.splice(44, 4, 'k', 'k', 'k', 'k')
  if (state === 'paused') letters.splice(40, 8, ...'pppppppp')
  if (state === 'pending') letters.fill('-', 0, 48)
  const ms = 40 + random() * 400
  return {
    id: name.replace(/[^a-z0-9]+/g, '-'), name, type,
    target: type === 'http' ? `https://${name.replace(/[^a-z0-9]+/g, '-')}.shop.example/health` : `${name.split(' ')[0]}.shop.example:${5432 + i}`,
    state, since_ms: now - (state === 'down' ? 14 * M : state === 'degraded' ? 3 * M : (i + 1) * 5 * H),
    reason: state === 'down' ? 'unexpected_status' : state === 'degraded' ? 'slow' : 'ok',
    message: { down: 'HTTP 503 in 212 ms, expected 200-399', degraded: 'HTTP 200 in 2.31 s, slower than 2 s', unknown: 'The agent "paris" has been silent for 4 min', paused: 'Paused by ana', pending: '', up: type === 'http' ? `HTTP 200 in ${ms.toFixed(0)} ms` : `${type} answered in ${ms.toFixed(1)} ms` }[state],
    duration_ms: state === 'pending' ? null : state === 'degraded' ? 2310 : ms, last_ms: now - random() * 50 * S, next_ms: now + random() * 50 * S, every_ms: 60 * S,
    failures: state === 'down' ? 14 : i === 5 ? 1 : 0, failures_needed: 3, uptime: state === 'pending' ? null : state === 'down' ? 0.9871 : 1 - random() * 0.002 * (i % 3), strip: letters.join(''),
    labels: { service: SERVICES[i % SERVICES.length], env: i % 4 ? 'prod' : 'stage' }, source: i % 3 ? 'tocsin.yaml:42' : 'ui', incident: state === 'down' && i === 1 ? 1042 : 0,
  }
}

function alert(fingerprint, name, severity, state, age, labels, value, summary, explanation, incidentNumber, now, suppressed = []) {
  return {
    fingerprint, name, severity, state, labels: { alertname: name, severity, ...labels }, annotations: { summary, description: 'Customers see an error page after they press "Pay". Look at the release first, then at the pool.', runbook_url: 'https://runbooks.shop.example/checkout-5xx' },
    value, starts_at_ms: now - age, ends_at_ms: state === 'resolved' ? now - age / 2 : 0, fires_in_ms: state === 'pending' ? 72 * S : 0, suppressed_by: suppressed, explanation, incident: incidentNumber,
    rule: { group: 'checkout', name, expr: 'sum(rate(http_server_request_duration_seconds_count{service="checkout",http_response_status_code=~"5.."}[5m])) / sum(rate(http_server_request_duration_seconds_count{service="checkout"}[5m])) > 0.05', for_ms: 120 * S, source: 'rules/shop.yml:12' },
    source: 'rule:checkout', strip: '0'.repeat(47 - (severity === 'critical' ? 0 : 9)) + (severity === 'critical' ? '1' : '1100000001'),
  }
}

function incident(number, title, severity, state, age, more, now) {
  return { number, title, severity, urgency: 'high', state, service: '', created_ms: now - age, acknowledged_ms: 0, acknowledged_by: '', resolved_ms: 0, resolved_by: '', snoozed_until_ms: 0, next_escalation_at_ms: 0, next_escalation_to: '', alerts_firing: 1, alerts_total: 1, receiver: 'payments', policy: 'payments', version: 3, ...more }
}

export const session = (now) => ({
  user: { name: 'ana', full_name: 'Ana Silva', role: 'admin' }, csrf: 'dev', version: '0.1.0', external_url: 'https://tocsin.shop.example', host: 'web-1', severities: ['info', 'warning', 'critical'], started_ms: now - 26 * H, nobody_paged: false, config_problems: [],
})

export const engine = (now) => ({ ok: true, last_evaluation_ms: now - 2100, last_sample_ms: now - 1300, core_started_ms: now - 26 * H, lag_ms: 0.8 })

export function overview(w) {
  const counts = { pending: 0, up: 0, degraded: 0, down: 0, unknown: 0, paused: 0 }
  for (const one of w.checks) counts[one.state]++
  const service = (name, state, rate, errors, p95, trend) => ({ name, state, since_ms: state === 'ok' ? 0 : w.now - 14 * M, rate, error_ratio: errors, p95_s: p95, checks: counts, alerts: state === 'critical' ? 3 : state === 'warning' ? 1 : 0, trend, owner: 'payments' })
  return {
    now_ms: w.now, cursor: w.now, sentence: '1 service is critical and 1 degraded; 3 of 5 are healthy', engine: engine(w.now), incidents: w.incidents,
    alerts: { firing: { critical: 1, warning: 2 }, pending: 1, suppressed: 1 }, checks: { counts, problems: w.checks.filter((one) => ['down', 'degraded', 'unknown'].includes(one.state)) },
    services: [service('checkout', 'critical', 128.4, 0.072, 1.92, [...wave(22, 0.3, 0.05), 0.6, 1.1, 1.7, 1.9, 1.92]), service('search', 'warning', 44.1, 0.004, 1.21, wave(28, 0.9, 0.2)), ...['payments', 'web', 'data'].map((name) => service(name, 'ok', 20 + random() * 300, random() * 0.004, 0.1 + random() * 0.2, wave(28, 0.2, 0.03)))],
    hosts: [
      { instance: 'web-1', cpu: 0.34, memory: 0.71, disk_worst: 0.62, disk_mount: '/', inodes_worst: 0.11, load1: 1.4, cores: 8, rx_bytes_s: 4.2e6, tx_bytes_s: 11.8e6, trend: { cpu: wave(60, 0.3, 0.1), memory: wave(60, 0.7, 0.01, 0.02), disk: wave(60, 0.62, 0), network: wave(60, 1.4e7, 3e6), load: wave(60, 1.3, 0.4) } },
      { instance: 'db-2', cpu: 0.12, memory: 0.88, disk_worst: 0.91, disk_mount: '/var', inodes_worst: 0.34, load1: 0.6, cores: 4, rx_bytes_s: 1.1e6, tx_bytes_s: 0.9e6, trend: { cpu: wave(60, 0.1, 0.03), memory: wave(60, 0.88, 0.01, 0.01), disk: Array.from({ length: 60 }, (_, i) => 0.86 + i * 0.0008), network: wave(60, 2e6, 4e5), load: wave(60, 0.6, 0.2) } },
    ],
    kpis: [
      { id: 'rate', title: 'Requests', value: 1284, text: '1,284 /s', unit: 'req/s', trend: wave(40, 1200, 160), state: 'none' }, { id: 'errors', title: 'Errors (5xx)', value: 0.009, text: '0.9 %', unit: 'ratio', trend: wave(40, 0.008, 0.002), state: 'ok' },
      { id: 'p95', title: 'Response time p95', value: 0.412, text: '412 ms', unit: 's', trend: wave(40, 0.4, 0.05), state: 'ok' }, { id: 'pay', title: 'Payments that succeed', value: 0.971, text: '97.1 %', unit: 'ratio', trend: [...wave(34, 0.995, 0.001, 0.002), 0.99, 0.985, 0.98, 0.975, 0.972, 0.971], state: 'warning' },
      { id: 'up', title: 'Checks up', value: 33, text: `${counts.up} of ${SIZE}`, unit: '', trend: wave(40, 33, 0.4, 0.01), state: 'none' }, { id: 'disk', title: 'Fullest disk', value: 0.91, text: '91 %', unit: 'ratio', trend: Array.from({ length: 40 }, (_, i) => 0.85 + i * 0.0015), state: 'warning' },
    ],
    oncall: [{ schedule: 'payments', who: ['Ana'], until_ms: w.now + 5 * H }],
    changes: [{ t_ms: w.now - 15 * M, actor: 'integration:deploy', text: 'deploy checkout-api 8f2c', subject: 'service:checkout' }, { t_ms: w.now - 32 * M, actor: 'user:ben', text: 'silenced db-maint for 2 h: replica rebuild', subject: 'silence:a1' }, { t_ms: w.now - 3 * H, actor: 'system:config', text: 'configuration reloaded: 3 checks changed', subject: 'config:tocsin.yaml' }],
    checklist: process.env.CHECKLIST === '0' ? [] : [{ id: 'url', title: 'Watch a URL', done: true }, { id: 'scrape', title: 'Scrape something that serves /metrics', done: true }, { id: 'person', title: 'Say who is told, and by which way', done: false }, { id: 'test', title: 'Send a test message', done: false }, { id: 'oncall', title: 'Make yourself on call', done: false }],
  }
}

export function checkDetail(w, id) {
  const row = w.checks.find((one) => one.id === id)
  if (!row) return null
  const result = (i) => ({
    check_id: id, started_ms: w.now - i * M, duration_ms: row.state === 'down' && i < 14 ? 212 : 120 + random() * 80, ok: !(row.state === 'down' && i < 14), degraded: false, unknown: false, reason: 'ok', message: row.state === 'down' && i < 14 ? 'HTTP 503 in 212 ms, expected 200-399' : 'HTTP 200 in 148 ms',
    phases: [{ name: 'resolve', ms: 3.1 }, { name: 'connect', ms: 12.4 }, { name: 'tls', ms: 31.9 }, { name: 'processing', ms: 148.2 }, { name: 'transfer', ms: 16.1 }],
    facts: { status: row.state === 'down' ? 503 : 200, address: '192.0.2.41', version: 'HTTP/1.1', content_type: 'text/html', body: '<h1>503 Service Unavailable</h1>\n<script>alert("this must show as text")</script>', headers: { server: 'nginx', 'retry-after': '30' }, certificate_days: 61 },
    location: 'local', attempt: 1, start_lag_ms: 3, manual_by: i === 5 ? 'ana' : '',
  })
  const runs = Array.from({ length: 20 }, (_, i) => ({ id: 900 - i, started_ms: w.now - i * M, ok: result(i).ok, reason: 'ok', message: result(i).message, manual_by: result(i).manual_by, result: result(i) }))
  const t = Array.from({ length: 360 }, (_, i) => w.now - (360 - i) * M)
  return {
    ...row, settings: { url: row.target, method: 'GET', expect_status: '200-399', timeout: '10s' }, last_result: runs[0].result, runs, changes: [{ t_ms: w.now - 14 * M, before: 'up', after: 'down', reason: 'unexpected_status', message: 'HTTP 503 three times in a row' }, { t_ms: w.now - 30 * H, before: 'down', after: 'up', reason: 'ok', message: 'HTTP 200 in 131 ms' }],
    uptime_by_window: { '24h': row.uptime, '7d': 0.99931, '30d': 0.99987, '90d': null }, latency: { t_ms: t, values: t.map((_, i) => (i > 200 && i < 216 ? null : 0.12 + 0.03 * Math.sin(i / 20) + random() * 0.03 + (i > 340 ? 0.1 : 0))) }, runbook: 'https://runbooks.shop.example/checkout',
  }
}

export function incidentDetail(w, number) {
  const row = [...w.incidents, ...w.old].find((one) => one.number === number)
  if (!row) return null
  const t = row.created_ms
  const entry = (id, after, actor, verb, text, cause = '') => ({ id, t_ms: t + after, actor, verb, text, cause, data: {} })
  return {
    ...row, group_labels: { service: row.service || 'checkout', env: 'prod' }, alerts: w.alerts.filter((one) => one.incident === number),
    timeline: [entry(1, 0, 'system:rules', 'fired', 'CheckoutErrorRateCritical fired: 7.2 % > 5 % for 2 min', 'hold_met'), entry(2, 200, 'system:escalate', 'opened', 'Incident opened for receiver payments', 'first notification'), entry(3, 300, 'system:escalate', 'notified', 'Ana is paged by SMS: primary of payments, step 1 of 3'), entry(4, 4200, 'system:notify', 'delivered', 'SMS to Ana delivered after 3.9 s'), entry(5, 60_000, 'system:alerts', 'joined', 'CheckoutLatencyWarning joined this incident'), entry(6, 240_000, 'user:chi', 'noted', 'Deploy 8f2c went out at 12:31, rolling back now.\nSecond line of the note.'), entry(7, 300_000, 'system:notify', 'failed', 'E-mail to ana@shop.example failed: 451 try again later', 'retry')],
    notifications: notifications(w).filter((one) => one.incident === number),
    why: [{ who: 'Ana', told: true, text: 'Primary of payments when the incident opened, step 1 of 3.', t_ms: t + 300, channel: 'sms', state: 'delivered' }, { who: 'Ben', told: false, text: 'Secondary: paged 5 min after Ana if she does not answer.', t_ms: t + 300_000, channel: '', state: '' }, { who: 'Dee', told: false, text: 'On holiday: override until Monday 08:00.', t_ms: 0, channel: '', state: '' }],
    remediation: number === 1041 ? { action: 'config', summary: 'Renewal job re-enabled; the new certificate is out in an hour', cause: 'The job was disabled with the last move', held: true, by: 'ben', at_ms: w.now - 60 * M } : {}, verdict: '', similar: [{ number: 1033, title: row.title, created_ms: w.now - 200 * H, resolved_ms: w.now - 199 * H, remediation: 'rollback of 77aa, pool raised to 40' }], runbook: 'https://runbooks.shop.example/checkout-5xx',
    graph: { query: 'sum(rate(http_server_request_duration_seconds_count{http_response_status_code=~"5.."}[5m])) / sum(rate(http_server_request_duration_seconds_count[5m]))', from_ms: t - 45 * M, to_ms: 0, threshold: 0.05 },
    policy_steps: [{ index: 0, targets: ['Ana (payments primary)'], delay_ms: 300_000, executed_ms: t + 300 }, { index: 1, targets: ['Ben (payments secondary)'], delay_ms: 600_000, executed_ms: 0 }, { index: 2, targets: ['Dee', '#incidents'], delay_ms: 900_000, executed_ms: 0 }],
  }
}

export function notifications(w) {
  const t = w.now - 14 * M
  const row = (id, incidentNumber, channel, address, recipient, state, reason, log = []) => ({ id, incident: incidentNumber, kind: 'page', channel, address, recipient, reason: 'primary of payments, step 1 of 3', state, state_reason: reason, due_at_ms: t + 300, created_ms: t + 300, sent_ms: log.length ? t + 500 : 0, done_ms: log.length ? t + 4200 : 0, attempts: log.length, provider_id: log.length ? 'SM77af' : '', attempt_log: log })
  return [
    row('a1', 1042, 'sms', '+33 6 12 34 56 78', 'Ana', 'delivered', '', [{ n: 1, started_ms: t + 500, ended_ms: t + 1300, outcome: 'accepted', status: 201, reason: 'queued' }]),
    row('a2', 1042, 'email', 'ana@shop.example', 'Ana', 'accepted', '', [{ n: 1, started_ms: t + 500, ended_ms: t + 900, outcome: 'retry', status: 451, reason: '451 4.7.1 try again later' }, { n: 2, started_ms: t + 30_500, ended_ms: t + 31_000, outcome: 'accepted', status: 250, reason: '250 queued as 4711' }]),
    row('a3', 1042, 'slack', '#incidents', 'payments', 'failed', 'channel_not_found', [{ n: 1, started_ms: t + 500, ended_ms: t + 800, outcome: 'permanent', status: 404, reason: 'channel_not_found' }]),
    row('a4', 1042, 'sms', '+33 6 99 88 77 66', 'Ben', 'pending', ''),
    row('a5', 1041, 'email', 'ben@shop.example', 'Ben', 'held', 'quiet hours until 07:00'),
  ]
}

export const silences = (w) => [
  { id: 'a1', matchers: [{ name: 'service', value: 'data', isRegex: false, isEqual: true }, { name: 'instance', value: 'db-.*', isRegex: true, isEqual: true }], starts_at_ms: w.now - 32 * M, ends_at_ms: w.now + 88 * M, created_by: 'ben', comment: 'Replica rebuild, ticket 4711', state: 'active', matching_now: 2 },
  { id: 'a2', matchers: [{ name: 'alertname', value: 'DiskWillFill', isRegex: false, isEqual: true }], starts_at_ms: w.now - 40 * H, ends_at_ms: w.now - 30 * H, created_by: 'ana', comment: 'Known', state: 'expired', matching_now: 0 },
]

export const targets = (w) => [
  { job: 'shop', instance: 'api-1:8000', url: 'http://api-1:8000/metrics', up: true, last_ms: w.now - 9 * S, duration_s: 0.012, samples: 842, error: '', labels: { job: 'shop', instance: 'api-1:8000' } },
  { job: 'shop', instance: 'api-2:8000', url: 'http://api-2:8000/metrics', up: false, last_ms: w.now - 4 * S, duration_s: 10, samples: 0, error: 'connection refused', labels: { job: 'shop', instance: 'api-2:8000' } },
]

export const oncall = (w) => ({
  schedules: [{ schedule: 'payments', who: ['Ana'], until_ms: w.now + 5 * H, next: ['Ben'], time_zone: 'Europe/Paris' }, { schedule: 'platform', who: [], until_ms: 0, time_zone: 'UTC' }],
  policies: [{ name: 'payments', repeat: 2, steps: [{ targets: ['schedule payments'], delay_ms: 300_000 }, { targets: ['ben', 'chi'], delay_ms: 600_000 }, { targets: ['#incidents'], delay_ms: 900_000 }] }],
  people: [{ name: 'ana', full_name: 'Ana Silva', time_zone: 'Europe/Lisbon', methods: [{ channel: 'sms', address: '+33 6 12 34 56 78' }, { channel: 'email', address: 'ana@shop.example' }] }, { name: 'ben', full_name: '', time_zone: 'Europe/Paris', methods: [] }],
})

export const self = (w) => ({
  processes: ['parent', 'core', 'probe', 'web'].map((name, i) => ({ name, pid: 4000 + i, started_ms: w.now - 26 * H, restarts: i === 2 ? 1 : 0, lag_ms: 0.4 + i / 3, rss_bytes: (60 + 40 * i) * 1024 * 1024 })),
  metrics: { tocsin_head_series: 18_420, tocsin_follower_lag_seconds: 0.08, tocsin_child_restarts_total: 1, 'tocsin_outbox_rows': 2, tocsin_store_bytes: 812_000_000, tocsin_pages_undeliverable_total: 0 },
  config: { files: ['/etc/tocsin/tocsin.yaml', '/etc/tocsin/rules/shop.yml'], problems: [{ place: 'tocsin.yaml:31', path: 'checks[2].timeout', message: 'expected a duration such as 10s, not "ten"', warning: true }], loaded_ms: w.now - 3 * H },
})

/** A made-up answer to any range query: three lines that rise at the end. */
export function matrix(query, start, end, step) {
  seed = 7
  const one = /sum\(|quantile|\bavg\(/.test(query) && !/ by /.test(query)
  const scale = /_bytes/.test(query) ? 2e9 : /status_code|ratio/.test(query) ? 0.01 : 0.3
  const series = one ? [{}] : ['api-1:8000', 'api-2:8000', 'db-2'].map((instance) => ({ instance, job: 'shop' }))
  return series.map((metric, k) => {
    const values = []
    for (let t = start; t <= end; t += step) {
      const late = Math.max(0, 1 - (end - t) / 840)
      if (k !== 1 || Math.floor(t / 900) % 5) values.push([t, String(scale * (1 + k / 3) * (1 + 0.2 * Math.sin(t / 700) + 0.15 * random()) + late * scale * 5)])
    }
    return { metric, values }
  })
}

const rule = (name, query, state, severity, signal) => ({ type: 'alerting', name, query, state, health: 'ok', duration: 180, keepFiringFor: 300, labels: { severity, signal }, annotations: { summary: `{{ $labels.service }} ${name}`, first_steps: '1. See which route.\n2. Roll back.' }, alerts: [], evaluationTime: 0.0004, lastEvaluation: new Date().toISOString() })

export const rules = () => ({
  groups: [
    { name: 'http', file: 'tocsin:shipped', interval: 15, evaluationTime: 0.004, lastEvaluation: new Date().toISOString(), rules: [rule('HttpResponseTimeCritical', 'service:http_response_time:p95_5m > 5\nand service:http_slow5s:outside_worst2m >= 2', 'inactive', 'critical', 'latency'), rule('HttpResponseTimeHigh', 'service:http_response_time:p95_5m > 1', 'firing', 'warning', 'latency'), rule('HttpErrorRatioCritical', 'service:http_errors:increase5m / service:http_requests:increase5m > 0.05', 'firing', 'critical', 'errors')] },
    { name: 'host', file: 'tocsin:shipped', interval: 15, evaluationTime: 0.001, lastEvaluation: new Date().toISOString(), rules: [rule('HostCpuHigh', '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0.9', 'pending', 'warning', 'cpu')] },
  ],
})

export const accounts = (w) => ({
  accounts: [
    { name: 'ana', full_name: 'Ana Silva', email: 'ana@shop.example', role: 'admin', disabled: false, has_password: true, has_totp: true, created_ms: w.now - 900 * H, seen_ms: w.now - 4 * M },
    { name: 'ben', full_name: 'Ben Okafor', email: 'ben@shop.example', role: 'responder', disabled: false, has_password: true, has_totp: false, created_ms: w.now - 800 * H, seen_ms: w.now - 26 * H },
    { name: 'wallboard', full_name: '', email: '', role: 'viewer', disabled: false, has_password: false, has_totp: false, created_ms: w.now - 300 * H, seen_ms: 0 },
    { name: 'dee', full_name: 'Dee', email: 'dee@shop.example', role: 'responder', disabled: true, has_password: true, has_totp: false, created_ms: w.now - 900 * H, seen_ms: w.now - 700 * H },
  ],
})

export const tokens = (w) => ({
  tokens: [
    { id: 'a1b2c3d4e5f6', name: 'deploy script', role: 'responder', created_ms: w.now - 90 * H, expires_ms: w.now + 1900 * H, used_ms: w.now - 15 * M, created_by: 'ana' },
    { id: 'ffb2c3d4e5f6', name: 'nightly backup heartbeat', role: 'sender', created_ms: w.now - 900 * H, expires_ms: 0, used_ms: 0, created_by: '' },
    { id: 'eeb2c3d4e5f6', name: 'old report job', role: 'viewer', created_ms: w.now - 2900 * H, expires_ms: w.now - 30 * H, used_ms: w.now - 31 * H, created_by: 'ben' },
  ],
})

export function audit(w, cursor) {
  const lines = [['user:ana', 'account_created', 'ana created account wallboard (viewer)'], ['user:ben', 'acknowledged', 'ben acknowledged #1041'], ['system:config', 'config_loaded', 'configuration reloaded: 3 checks changed'], ['user:chi', 'silence_set', 'chi silenced service="data", instance=~"db-.*" for 2 h: replica rebuild, ticket 4711'], ['system:escalate', 'notified', 'Ana is paged by SMS: primary of payments, step 1 of 3']]
  const first = cursor ? 100 : 0
  return { events: Array.from({ length: 100 }, (_, i) => ({ id: 900 - first - i, t_ms: w.now - (first + i) * 11 * M, actor: lines[i % 5][0], verb: lines[i % 5][1], text: lines[i % 5][2], cause: '', data: {} })), next: cursor ? '' : 'more' }
}

/** Turns of half a day; nobody on one night. */
export function shifts(from, until) {
  const made = []
  for (let t = Math.floor(Date.parse(from) / (12 * H)) * 12 * H, i = 0; t < Date.parse(until); t += 12 * H, i++) if (i !== 12) made.push({ start: new Date(t).toISOString(), end: new Date(t + (i === 5 ? 8 : 12) * H).toISOString(), users: i === 8 ? ['ana', 'ben'] : [['ana', 'ben', 'chi'][Math.floor(i / 4) % 3]] })
  return { shifts: made }
}
