// Rate, errors, duration and saturation of one service as PromQL, over the names of the semantic conventions.

import { shiftOf, wordsOf } from './compare'
import type { Span } from './timerange'

/** `twin`: the name of the line that this one is the past of. */
export interface Named { name: string; query: string; twin?: string }

const COUNT = 'http_server_request_duration_seconds_count'
const BUCKET = 'http_server_request_duration_seconds_bucket'

export function matcher(service: string): string {
  return `service=${JSON.stringify(service)}`
}

const of = (service: string, status = '') => `rate(${COUNT}{${matcher(service)}${status && `,http_response_status_code=~"${status}"`}}[5m])`
const buckets = (service: string) => `rate(${BUCKET}{${matcher(service)}}[5m])`

export function rate(service: string): Named[] {
  return [{ name: 'requests/s', query: `sum(${of(service)})` }]
}

export function errors(service: string): Named[] {
  const share = (status: string) => `sum(${of(service, status)}) / sum(${of(service)})`
  return [
    { name: '5xx', query: share('5..') },
    { name: '4xx', query: share('4..') },
  ]
}

export function durations(service: string): Named[] {
  return [0.5, 0.95, 0.99].map((share) => ({ name: `p${share * 100}`, query: `histogram_quantile(${share}, sum by (le) (${buckets(service)}))` }))
}

/** The same figures by a label: of routes, of instances. Those that nobody called are left out of the shares. */
export function figuresBy(service: string, label: string): Named[] {
  const share = (status: string) => `(sum by (${label}) (${of(service, status)}) or 0 * sum by (${label}) (${of(service)})) / (sum by (${label}) (${of(service)}) > 0)`
  return [
    { name: 'rate', query: `sum by (${label}) (${of(service)})` },
    { name: 'client', query: share('4..') },
    { name: 'errors', query: share('5..') },
    ...[0.5, 0.95, 0.99].map((quantile) => ({ name: `p${quantile * 100}`, query: `histogram_quantile(${quantile}, sum by (le, ${label}) (${buckets(service)}))` })),
  ]
}

export function byRoute(service: string): Named[] {
  return [{ name: '', query: `topk(8, histogram_quantile(0.95, sum by (le, http_route) (${buckets(service)})))` }]
}

export function errorsByRoute(service: string): Named[] {
  return [{ name: '', query: `topk(8, sum by (http_route) (${of(service, '5..')}) > 0)` }]
}

/** Whether the scrape of each instance goes well. A service's name may stand in its metrics only: then they lead to its targets. */
export function upOf(service: string): Named {
  const own = `up{${matcher(service)}}`
  const scraped = `count by (job, instance) (last_over_time(${COUNT}{${matcher(service)}}[1h]))`
  return { name: 'up', query: `max by (instance) (${own} or (up and on (job, instance) ${scraped}))` }
}

const POOL = 'instance, db_client_connection_pool_name'

/** What stands beside the charts, where it is measured at all. */
export function saturation(service: string): (Named & { title: string; unit: string })[] {
  const own = matcher(service)
  return [
    { name: 'pool', title: 'DB pool in use, fullest', unit: 'ratio', query: `max(sum by (${POOL}) (db_client_connection_count{${own},db_client_connection_state="used"}) / sum by (${POOL}) (db_client_connection_max{${own}}))` },
    { name: 'waiting', title: 'Waiting for a connection', unit: '', query: `sum(db_client_connection_pending_requests{${own}})` },
    { name: 'query', title: 'DB query p95', unit: 's', query: `histogram_quantile(0.95, sum by (le) (rate(db_client_operation_duration_seconds_bucket{${own}}[5m])))` },
    { name: 'payments', title: 'Payments ok', unit: 'ratio', query: `sum(rate(payments_total{${own},outcome="success"}[15m])) / sum(rate(payments_total{${own}}[15m]))` },
    { name: 'flight', title: 'Requests in flight', unit: '', query: `sum(http_server_active_requests{${own}})` },
    { name: 'jobs', title: 'Jobs that failed, 1 h', unit: '', query: `sum(increase(job_runs_total{${own},outcome!="success"}[1h]))` },
  ]
}

/** What a service calls, as it measures it itself: other servers and databases. */
export function calls(service: string): Named[] {
  const own = matcher(service)
  const http = 'http_client_request_duration_seconds'
  const db = 'db_client_operation_duration_seconds'
  const both = (client: string, database: string) => `(${client}) or (${database})`
  return [
    { name: 'rate', query: both(`sum by (server_address) (rate(${http}_count{${own}}[5m]))`, `sum by (db_system_name, db_namespace) (rate(${db}_count{${own}}[5m]))`) },
    { name: 'errors', query: `sum by (server_address) (rate(${http}_count{${own},http_response_status_code=~"5.."}[5m])) / (sum by (server_address) (rate(${http}_count{${own}}[5m])) > 0)` },
    { name: 'p95', query: both(`histogram_quantile(0.95, sum by (le, server_address) (rate(${http}_bucket{${own}}[5m])))`, `histogram_quantile(0.95, sum by (le, db_system_name, db_namespace) (rate(${db}_bucket{${own}}[5m])))`) },
  ]
}

/** The same a while ago, as the twin of one line: of quantiles the p95, else the first. `prev` = as long a time right before. */
export function compared(queries: Named[], ago: string, range: Span): Named[] {
  const [words, shift_ms] = [wordsOf(ago), shiftOf(ago, range)]
  const main = queries.find((one) => one.name === 'p95') ?? queries[0]
  if (!words || !main) return queries
  return [...queries, { name: `${main.name}, ${words}`, query: shifted(main.query, `${Math.max(1, Math.round(shift_ms / 1000))}s`), twin: main.name }]
}

/** `offset` behind every selector with a range: our own expressions have no other ones that count. */
export function shifted(query: string, ago: string): string {
  return query.replace(/(\[[0-9a-z]+\])/g, `$1 offset ${ago}`)
}
