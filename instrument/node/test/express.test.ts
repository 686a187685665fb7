import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import express from "express";
import { register } from "prom-client";
import { metrics } from "../src/index.ts";

let base = "";
let server: ReturnType<ReturnType<typeof express>["listen"]>;
let release = (): void => {};

before(async () => {
  const app = express();
  app.set("env", "test"); // Express prints what handlers throw otherwise
  app.use(metrics());
  app.get("/orders/:id", (request, response) => {
    response.json({ id: request.params.id });
  });
  app.get("/broken", () => {
    throw new Error("no");
  });
  app.get("/slow", (_request, response) => {
    release = () => response.end("late");
  });
  const nested = express.Router({ mergeParams: true });
  nested.get("/items/:item", (_request, response) => {
    response.send("item");
  });
  app.use("/shops/:shop", nested);
  const forgetful = express.Router();
  forgetful.get("/", (_request, response) => {
    response.send("user");
  });
  app.use("/users/:user", forgetful);
  server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.close();
});

async function count(labels: Record<string, string>): Promise<number> {
  const metric = await register.getSingleMetric("http_server_request_duration_seconds")?.get();
  const found = metric?.values.find(
    (value) =>
      (value as { metricName?: string }).metricName === "http_server_request_duration_seconds_count" &&
      Object.entries(labels).every(([name, wanted]) => String(value.labels[name]) === wanted),
  );
  return found?.value ?? 0;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, "never became true");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("requests are counted by template, not by path", async () => {
  await (await fetch(`${base}/orders/1`)).text();
  await (await fetch(`${base}/orders/2`)).text();
  const labels = { http_request_method: "GET", http_route: "/orders/:id", http_response_status_code: "200" };
  await until(async () => (await count(labels)) === 2);
});

test("a mounted router's template begins at its mount point", async () => {
  await (await fetch(`${base}/shops/berlin/items/7`)).text();
  await until(async () => (await count({ http_route: "/shops/:shop/items/:item" })) === 1);
});

test("mounts whose parameters Express forgot cannot make series without end", async () => {
  for (let i = 0; i < 80; i++) await (await fetch(`${base}/users/u${i}`)).text();
  await until(async () => (await count({ http_route: "/_mounted/" })) > 0);
  const metric = await register.getSingleMetric("http_server_request_duration_seconds")?.get();
  const routes = new Set(metric?.values.map((value) => value.labels.http_route));
  assert.ok(routes.size < 60);
});

test("a handler that throws is a 500 of its route, a path that nobody serves has no route", async () => {
  await (await fetch(`${base}/broken`)).text();
  await (await fetch(`${base}/wp-login.php`)).text();
  await until(async () => (await count({ http_route: "/broken", http_response_status_code: "500" })) === 1);
  await until(async () => (await count({ http_route: "", http_response_status_code: "404" })) === 1);
});

test("a made-up method is one series", async () => {
  const socket = connect(Number(new URL(base).port), "127.0.0.1");
  socket.end("PROPFIND /orders/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  socket.resume();
  await once(socket, "close");
  await until(async () => (await count({ http_request_method: "_OTHER" })) === 1);
});

test("a client that leaves before the answer is a 499, once, and no longer in flight", async () => {
  const leaving = new AbortController();
  const asked = fetch(`${base}/slow`, { signal: leaving.signal }).catch(() => "left");
  const inFlight = async (): Promise<number> => {
    const metric = await register.getSingleMetric("http_server_active_requests")?.get();
    return metric?.values.find((value) => value.labels.http_request_method === "GET")?.value ?? 0;
  };
  await until(async () => (await inFlight()) === 1);
  leaving.abort();
  await asked;
  await until(async () => (await count({ http_route: "/slow", http_response_status_code: "499" })) === 1);
  await until(async () => (await inFlight()) === 0);
  release();
});

test("/metrics answers in the text format, with the contract's buckets, and is not counted", async () => {
  const answer = await fetch(`${base}/metrics`);
  const text = await answer.text();
  assert.match(answer.headers.get("content-type") ?? "", /^text\/plain/);
  assert.match(text, /http_server_request_duration_seconds_bucket\{le="0\.075"|le="0\.75"/);
  const bounds = [...text.matchAll(/le="([^"]+)",http_request_method="GET",http_route="\/orders\/:id"/g)].map((found) => found[1]);
  assert.deepEqual(bounds, ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10", "+Inf"]);
  assert.doesNotMatch(text, /http_route="\/metrics"/);
});
