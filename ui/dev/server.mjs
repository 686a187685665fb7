// Serves ui/dist with the product's security headers, and fixtures in place of Tocsin. `node dev/server.mjs [port]`.
// FREEZE=1 stops the beats after the first (the engine falls silent); CHECKS=2000 makes a large world. Never shipped.

import { createServer } from 'node:http'
import { existsSync, readFileSync } from 'node:fs'
import { extname, join, normalize } from 'node:path'
import * as make from './fixtures.mjs'

const DIST = join(import.meta.dirname, '..', 'dist')
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const streams = new Set()
const added = []
const overrides = new Map() // incident number -> fields changed by a person
let cursor = Date.now()

const world = () => {
  const w = make.world()
  w.checks.unshift(...added)
  for (const one of w.incidents) Object.assign(one, overrides.get(one.number) ?? {})
  return w
}
const say = (topic, subject) => {
  cursor++
  for (const stream of streams) stream.write(`event: change\nid: ${cursor}\ndata: ${JSON.stringify({ id: cursor, topics: [topic], subjects: [subject] })}\n\n`)
}

const GET = [
  [/^\/session$/, (w) => make.session(w.now)],
  [/^\/overview$/, (w) => make.overview(w)],
  [/^\/checks$/, (w) => ({ now_ms: w.now, cursor, checks: w.checks })],
  [/^\/checks\/([^/]+)$/, (w, id) => make.checkDetail(w, id)],
  [/^\/alerts$/, (w, _id, q) => ({ now_ms: w.now, cursor, alerts: q.get('state') === 'resolved' ? w.alerts.map((one) => ({ ...one, state: 'resolved', ends_at_ms: w.now - 60_000, starts_at_ms: w.now - 3_600_000 })) : w.alerts })],
  [/^\/alerts\/([^/]+)$/, (w, id) => { const one = w.alerts.find((a) => a.fingerprint === id); return one && { ...one, history: [{ starts_at_ms: one.starts_at_ms, ends_at_ms: 0, ended_by: '', incident: 1042 }, { starts_at_ms: w.now - 9e7, ends_at_ms: w.now - 8.8e7, ended_by: 'became_false', incident: 1033 }], trace: make.incidentDetail(w, 1042).timeline.slice(0, 4) } }],
  [/^\/incidents$/, (w, _id, q) => ({ now_ms: w.now, cursor, incidents: { open: w.incidents, resolved: w.old }[q.get('state')] ?? [...w.incidents, ...w.old] })],
  [/^\/incidents\/(\d+)$/, (w, id) => make.incidentDetail(w, Number(id))],
  [/^\/notifications$/, (w, _id, q) => ({ now_ms: w.now, cursor, notifications: make.notifications(w).filter((one) => (!q.get('incident') || one.incident === Number(q.get('incident'))) && (!q.get('state') || one.state === q.get('state'))) })],
  [/^\/silences$/, (w) => ({ now_ms: w.now, cursor, silences: make.silences(w) })],
  [/^\/targets$/, (w) => ({ targets: make.targets(w) })],
  [/^\/oncall$/, (w) => make.oncall(w)],
  [/^\/oncall\/overrides$/, (w) => ({ overrides: [{ id: 'o1', schedule: 'payments', start_ms: w.now + 3_600_000, end_ms: w.now + 3 * 3_600_000, users: ['ben'], mode: 'set', created_by: 'ana', created_ms: w.now }] })],
  [/^\/schedules\/payments\/shifts$/, (_w, _id, q) => make.shifts(q.get('from'), q.get('until'))],
  [/^\/accounts$/, (w) => make.accounts(w)],
  [/^\/tokens$/, (w) => make.tokens(w)],
  [/^\/audit$/, (w, _id, q) => make.audit(w, q.get('cursor'))],
  [/^\/me\/totp$/, () => ({ secret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', url: 'otpauth://totp/Tocsin:ana?secret=JBSWY3DPEHPK3PXP', active: false })],
  [/^\/self$/, (w) => make.self(w)],
  [/^\/search$/, (w, _id, q) => ({ results: w.checks.filter((one) => one.name.includes(q.get('q'))).slice(0, 8).map((one) => ({ kind: 'check', title: one.name, url: `/checks/${one.id}` })) })],
]

function write(path, body) {
  const w = world()
  const act = /^\/incidents\/(\d+)\/(\w+)$/.exec(path)
  if (act) {
    const [, number, verb] = act
    const state = { acknowledge: { state: 'acknowledged', acknowledged_by: 'ana', acknowledged_ms: Date.now() }, unacknowledge: { state: 'triggered' }, resolve: { state: 'resolved', resolved_ms: Date.now(), resolved_by: 'ana' }, snooze: { state: 'snoozed', snoozed_until_ms: body.until_ms } }[verb] ?? {}
    overrides.set(Number(number), { ...overrides.get(Number(number)), ...state })
    say('incidents', `incident:${number}`)
    return w.incidents[0]
  }
  if (path === '/tokens') return { token: 'tcs_4f8Gq1_example_shown_once_0000000000000000', id: 'a1' }
  if (path === '/checks') {
    const one = { ...w.checks[0], id: 'new-check', name: new URL(body.url).host, target: body.url, state: 'pending', strip: '-'.repeat(48), source: 'ui' }
    added.unshift(one)
    say('checks', one.id)
    return one
  }
  if (path.endsWith('/run')) return make.checkDetail(w, w.checks[0].id)?.last_result
  if (path === '/silences/preview') return { now: w.alerts.slice(0, 2), last_7d: 31 }
  if (path === '/silences') return say('silences', 'x'), { ...make.silences(w)[0], id: 'x' }
  return {}
}

const json = (response, status, body) => response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', 'x-request-id': 'dev-1' }).end(JSON.stringify(body))

createServer(async (request, response) => {
  const url = new URL(request.url, 'http://dev')
  response.setHeader('content-security-policy', CSP)
  const api = url.pathname.startsWith('/api/tocsin/v1') ? url.pathname.slice(14) : null
  if (api === '/stream') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const beat = () => response.write(`event: beat\nid: ${cursor}\ndata: ${JSON.stringify({ now_ms: Date.now(), engine: make.engine(Date.now()) })}\n\n`)
    beat()
    const timer = process.env.FREEZE ? undefined : setInterval(beat, 10_000)
    streams.add(response)
    return request.on('close', () => (streams.delete(response), clearInterval(timer)))
  }
  if (api !== null && request.method !== 'GET') {
    let text = ''
    for await (const part of request) text += part
    if (request.method === 'DELETE') return response.writeHead(204).end()
    return json(response, 200, write(api, text ? JSON.parse(text) : {}))
  }
  if (api !== null) {
    for (const [pattern, answer] of GET) {
      const found = pattern.exec(decodeURIComponent(api))
      const body = found && answer(world(), found[1], url.searchParams)
      if (body) return json(response, 200, body)
    }
    return json(response, 404, { title: 'not found', status: 404, detail: 'There is nothing here.', request_id: 'dev-1' })
  }
  if (url.pathname.startsWith('/api/v1/')) {
    const q = url.searchParams
    const data = url.pathname.endsWith('query_range') ? { resultType: 'matrix', result: make.matrix(q.get('query'), Number(q.get('start')), Number(q.get('end')), Number(q.get('step'))) }
      : url.pathname.endsWith('/query') ? { resultType: 'vector', result: make.matrix(q.get('query'), Number(q.get('time')), Number(q.get('time')), 15).map(({ metric, values }) => ({ metric, value: values[0] })) }
      : url.pathname.endsWith('/rules') ? make.rules()
      : url.pathname.endsWith('/values') ? ['http_server_request_duration_seconds_bucket', 'node_load1', 'probe_success', 'up']
      : url.pathname.endsWith('/metadata') ? { up: [{ type: 'gauge', help: '1 when the last scrape went well', unit: '' }] } : ['instance', 'job', 'service']
    return json(response, 200, { status: 'success', data })
  }
  const file = join(DIST, normalize(url.pathname))
  const path = extname(file) && existsSync(file) ? file : join(DIST, 'index.html')
  response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(readFileSync(path))
}).listen(Number(process.argv[2] ?? 8930), '127.0.0.1', function () {
  console.log(`http://127.0.0.1:${this.address().port}`)
})
