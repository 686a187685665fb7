/** Express 4 and 5: `app.use(metrics())` before the routes. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { register } from "prom-client";
import { finished, knownMethod, started } from "./http-server.ts";

/** What the router of Express leaves on a request. */
interface Routed extends IncomingMessage {
  baseUrl?: string;
  path?: string;
  route?: { path?: unknown };
}

type Next = (error?: unknown) => void;
type Middleware = (request: Routed, response: ServerResponse, next: Next) => void;

export interface Options {
  /** Where the metrics are answered; `null` = not by this middleware. */
  metricsPath?: string | null;
  /** The template of a request's route; empty where nothing matched. */
  route?: (request: IncomingMessage) => string;
}

/** Counts and times every request; answers `/metrics` itself. */
export function metrics({ metricsPath = "/metrics", route = routeOf }: Options = {}): Middleware {
  return (request, response, next) => {
    if (metricsPath !== null && (request.path ?? request.url) === metricsPath) {
      answer(response).catch(next);
      return;
    }
    const method = knownMethod(request.method ?? "");
    const over = started(method);
    const begin = process.hrtime.bigint();
    // `close` comes after `finish`, and alone when the client left before the end: each request is counted once.
    response.once("close", () => {
      over();
      const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
      finished(method, route(request), response.headersSent ? response.statusCode : 499, seconds);
    });
    next();
  };
}

/** The template under which the router found its handler, mount points included; empty where nothing matched. */
export function routeOf(request: IncomingMessage): string {
  const { baseUrl, route } = request as Routed;
  const path = Array.isArray(route?.path) ? route.path[0] : route?.path;
  if (path === undefined) return "";
  return `${template(request, baseUrl ?? "")}${path instanceof RegExp ? path.source : String(path)}`;
}

const MOST_MOUNTS = 50;
const mounts = new Set<string>();

/**
 * A mount point as it was written: parameters of the path that led there get their names back, where the router keeps them
 * (`mergeParams: true`). Express forgets them otherwise; then the mounts beyond the first fifty share one name.
 */
function template(request: IncomingMessage, mounted: string): string {
  const parameters = (request as { params?: Record<string, unknown> }).params ?? {};
  const names = new Map(Object.entries(parameters).map(([name, value]) => [String(value), name]));
  const found = mounted
    .split("/")
    .map((part) => (part !== "" && names.has(decoded(part)) ? `:${names.get(decoded(part))}` : part))
    .join("/");
  if (mounts.size < MOST_MOUNTS) mounts.add(found);
  return mounts.has(found) ? found : "/_mounted";
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function answer(response: ServerResponse): Promise<void> {
  const body = await register.metrics();
  response.setHeader("Content-Type", register.contentType);
  response.end(body);
}
