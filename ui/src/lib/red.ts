// Rate, errors, duration and saturation of one service as PromQL, over the names of the HTTP semantic conventions.

export interface Named { name: string; query: string }

const COUNT = 'http_server_request_duration_seconds_count'
const BUCKET = 'http_server_request_duration_seconds_bucket'

export function matcher(service: string): string {
  return `service=${JSON.stringify(service)}`
}

export function rate(service: string): Named[] {
  return [{ name: 'requests/s', query: `sum(rate(${COUNT}{${matcher(service)}}[5m]))` }]
}

export function errors(service: string): Named[] {
  const of = (status: string) => `sum(rate(${COUNT}{${matcher(service)},http_response_status_code=~"${status}"}[5m])) / sum(rate(${COUNT}{${matcher(service)}}[5m]))`
  return [
    { name: '5xx', query: of('5..') },
    { name: '4xx', query: of('4..') },
  ]
}

export function durations(service: string): Named[] {
  return [0.5, 0.95, 0.99].map((share) => ({ name: `p${share * 100}`, query: `histogram_quantile(${share}, sum by (le) (rate(${BUCKET}{${matcher(service)}}[5m])))` }))
}

export function byRoute(service: string): Named[] {
  return [{ name: '', query: `topk(8, histogram_quantile(0.95, sum by (le, http_route) (rate(${BUCKET}{${matcher(service)}}[5m]))))` }]
}

export function pool(service: string): Named[] {
  const used = `sum(db_client_connection_count{${matcher(service)},db_client_connection_state="used"})`
  return [{ name: 'connections used', query: `${used} / sum(db_client_connection_max{${matcher(service)}})` }]
}

/** The same a while ago, as further lines. */
export function compared(queries: Named[], ago: string): Named[] {
  if (!ago) return queries
  return [...queries, ...queries.slice(0, 1).map(({ name, query }) => ({ name: `${name}, ${ago} before`, query: shifted(query, ago) }))]
}

/** `offset` behind every selector with a range: our own expressions have no other ones that count. */
export function shifted(query: string, ago: string): string {
  return query.replace(/(\[[0-9a-z]+\])/g, `$1 offset ${ago}`)
}
