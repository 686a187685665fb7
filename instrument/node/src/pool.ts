/** Connection pools: asked at each scrape; nothing is counted in between. Fits `pg.Pool` as it is. */
import { Gauge } from "prom-client";

/** A pool now. */
export interface PoolState {
  idle: number;
  used: number;
  most: number;
  pending: number;
}

/** What `pg.Pool` shows of itself. */
export interface PgPool {
  idleCount: number;
  totalCount: number;
  waitingCount: number;
  options?: { max?: number };
}

const pools = new Map<string, () => PoolState>();
const POOL = "db_client_connection_pool_name";
const PG_DEFAULT_MAX = 10;

new Gauge({
  name: "db_client_connection_count",
  help: "Connections of the pool.",
  labelNames: [POOL, "db_client_connection_state"],
  collect() {
    each(this, (name, state) => {
      this.labels(name, "idle").set(state.idle);
      this.labels(name, "used").set(state.used);
    });
  },
});

new Gauge({
  name: "db_client_connection_max",
  help: "Most connections that the pool may open.",
  labelNames: [POOL],
  collect() {
    each(this, (name, state) => this.labels(name).set(state.most));
  },
});

new Gauge({
  name: "db_client_connection_pending_requests",
  help: "Requests waiting for a connection.",
  labelNames: [POOL],
  collect() {
    each(this, (name, state) => this.labels(name).set(state.pending));
  },
});

/** Show a pool under this name; call what it returns to forget it. */
export function watchPool(name: string, read: () => PoolState): () => void {
  pools.set(name, read);
  return () => pools.delete(name);
}

/** Show a `pg.Pool`. */
export function watchPgPool(name: string, pool: PgPool): () => void {
  return watchPool(name, () => ({
    idle: pool.idleCount,
    used: pool.totalCount - pool.idleCount,
    most: pool.options?.max ?? PG_DEFAULT_MAX,
    pending: pool.waitingCount,
  }));
}

function each(gauge: { reset(): void }, show: (name: string, state: PoolState) => void): void {
  gauge.reset();
  for (const [name, read] of pools) {
    try {
      show(name, read());
    } catch {
      // a pool that is being closed must not break the scrape
    }
  }
}
