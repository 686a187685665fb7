/**
 * The metrics of an HTTP server; shared by every framework.
 *
 * `http_route` is the template (`/orders/:id`), never a raw path: a crawler must not be able to make series.
 */
import { Gauge, Histogram } from "prom-client";

export const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"]);
const MOST_SERIES = 5000;

const duration = new Histogram({
  name: "http_server_request_duration_seconds",
  help: "Duration of HTTP requests, from the first byte in to the last byte out.",
  labelNames: ["http_request_method", "http_route", "http_response_status_code"],
  buckets: BUCKETS,
});

const active = new Gauge({
  name: "http_server_active_requests",
  help: "HTTP requests being answered now.",
  labelNames: ["http_request_method"],
  aggregator: "sum",
});

const seen = new Map<string, Histogram.Internal<string>>();
const inFlight = new Map<string, Gauge.Internal<string>>();

/** The method, or `_OTHER` for one that a stranger made up. */
export function knownMethod(method: string): string {
  return METHODS.has(method) ? method : "_OTHER";
}

/** Count a request in; call what it returns when the request is over, however it ended. */
export function started(method: string): () => void {
  let child = inFlight.get(method);
  if (child === undefined) {
    child = active.labels(method);
    inFlight.set(method, child);
  }
  child.inc();
  return () => child.dec();
}

/** Record one answered request. */
export function finished(method: string, route: string, status: number, seconds: number): void {
  let key = `${method} ${status} ${route}`;
  let child = seen.get(key);
  if (child === undefined) {
    const label = seen.size < MOST_SERIES ? route : "_overflow";
    key = `${method} ${status} ${label}`;
    child = seen.get(key) ?? duration.labels(method, label, String(status));
    seen.set(key, child);
  }
  child.observe(seconds);
}
