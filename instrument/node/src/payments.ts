/** Payments: success and failure by method and reason. Keep reasons few: a code, never a message. */
import { Counter, Histogram } from "prom-client";

const total = new Counter({
  name: "payments_total",
  help: "Payments by outcome.",
  labelNames: ["outcome", "reason", "method"],
});

const duration = new Histogram({
  name: "payment_duration_seconds",
  help: "How long a payment took.",
  labelNames: ["outcome", "method"],
  buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
});

const MOST_REASONS = 50;
const reasons = new Set<string>();

export function success(method = ""): void {
  total.labels("success", "", method).inc();
}

/** One failed payment; reasons beyond the first fifty are counted as `other`. */
export function failure(method: string, reason: string): void {
  if (reasons.size < MOST_REASONS) reasons.add(reason);
  total.labels("failure", reasons.has(reason) ? reason : "other", method).inc();
}

/** Times `pay`; what it throws is a failure whose reason is the error's `code`, else its name. */
export async function attempt<T>(method: string, pay: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  const took = (outcome: string): void => duration.labels(outcome, method).observe((performance.now() - begin) / 1000);
  try {
    const result = await pay();
    success(method);
    took("success");
    return result;
  } catch (error) {
    failure(method, reasonOf(error));
    took("failure");
    throw error;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "other";
  const { code } = error as { code?: unknown };
  return typeof code === "string" && code !== "" ? code : error.name;
}
