export { metrics, routeOf } from "./express.ts";
export type { Options } from "./express.ts";
export { BUCKETS, finished, knownMethod, started } from "./http-server.ts";
export * as jobs from "./jobs.ts";
export * as payments from "./payments.ts";
export { watchPgPool, watchPool } from "./pool.ts";
export type { PgPool, PoolState } from "./pool.ts";
