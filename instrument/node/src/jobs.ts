/** Background jobs and cron jobs: runs, durations, last success; and the heartbeat that says "I ran". */
import { Counter, Gauge, Histogram } from "prom-client";

const runs = new Counter({
  name: "job_runs_total",
  help: "Runs of background jobs by outcome.",
  labelNames: ["job_name", "outcome"],
});

const duration = new Histogram({
  name: "job_duration_seconds",
  help: "How long a run took.",
  labelNames: ["job_name"],
  buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400],
});

const lastSuccess = new Gauge({
  name: "job_last_success_timestamp_seconds",
  help: "When the job last succeeded, Unix time.",
  labelNames: ["job_name"],
  aggregator: "max",
});

export interface RunOptions {
  /** Tells Tocsin of start, success and failure. */
  heartbeatUrl?: string;
}

/** Counts and times `work`; what it throws is passed on. */
export async function run<T>(name: string, work: () => Promise<T>, { heartbeatUrl }: RunOptions = {}): Promise<T> {
  const begin = performance.now();
  const ended = (outcome: string): void => {
    runs.labels(name, outcome).inc();
    duration.labels(name).observe((performance.now() - begin) / 1000);
  };
  if (heartbeatUrl !== undefined) await heartbeat(heartbeatUrl, "start");
  try {
    const result = await work();
    ended("success");
    lastSuccess.labels(name).set(Date.now() / 1000);
    if (heartbeatUrl !== undefined) await heartbeat(heartbeatUrl);
    return result;
  } catch (error) {
    ended("failure");
    if (heartbeatUrl !== undefined) await heartbeat(heartbeatUrl, "fail", String(error));
    throw error;
  }
}

const LONGEST_BODY = 10_000;
const TIMEOUT_MS = 10_000;

/** Call a heartbeat's URL; true when it was heard. Never throws: the job matters more than its watcher. */
export async function heartbeat(url: string, kind: "success" | "start" | "fail" = "success", body = ""): Promise<boolean> {
  const address = kind === "success" ? url : `${url.replace(/\/+$/, "")}/${kind}`;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(address, { method: "POST", body: body.slice(0, LONGEST_BODY), signal });
    return answer.ok;
  } catch {
    return false;
  }
}
