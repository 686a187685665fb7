import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { register } from "prom-client";
import { finished, jobs, payments, watchPgPool, watchPool } from "../src/index.ts";

async function lines(start: string): Promise<string[]> {
  return (await register.metrics()).split("\n").filter((line) => line.startsWith(start));
}

test("payments are counted by outcome and reason", async () => {
  payments.success("card");
  payments.failure("card", "declined");
  await assert.rejects(
    payments.attempt("card", async () => {
      throw Object.assign(new Error("the bank is away"), { code: "ETIMEDOUT" });
    }),
    /the bank is away/,
  );
  assert.equal(await payments.attempt("card", async () => 42), 42);
  assert.deepEqual(await lines("payments_total{"), [
    'payments_total{outcome="success",reason="",method="card"} 2',
    'payments_total{outcome="failure",reason="declined",method="card"} 1',
    'payments_total{outcome="failure",reason="ETIMEDOUT",method="card"} 1',
  ]);
});

test("reasons are bounded", async () => {
  for (let i = 0; i < 200; i++) payments.failure("cash", `reason ${i}`);
  const cash = (await lines("payments_total{")).filter((line) => line.includes('method="cash"'));
  assert.ok(cash.length <= 51);
  assert.ok(cash.some((line) => line.includes('reason="other"')));
});

test("a job tells its heartbeat of start, success and failure", async () => {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      heard.push(`${request.url} ${body}`.trim());
      response.end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const heartbeatUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hb/abc`;
  assert.equal(await jobs.run("nightly", async () => "done", { heartbeatUrl }), "done");
  await assert.rejects(
    jobs.run(
      "nightly",
      async () => {
        throw new Error("no space");
      },
      { heartbeatUrl },
    ),
  );
  server.close();
  assert.deepEqual(heard, ["/hb/abc/start", "/hb/abc", "/hb/abc/start", "/hb/abc/fail Error: no space"]);
  assert.deepEqual(await lines("job_runs_total{"), [
    'job_runs_total{job_name="nightly",outcome="success"} 1',
    'job_runs_total{job_name="nightly",outcome="failure"} 1',
  ]);
});

test("a heartbeat that nobody hears does not harm the job", async () => {
  assert.equal(await jobs.heartbeat("http://127.0.0.1:9/hb/abc"), false);
  assert.equal(await jobs.run("alone", async () => 1, { heartbeatUrl: "not a url" }), 1);
});

test("pools are asked at the scrape; one that fails does not break it", async () => {
  const pool = { idleCount: 2, totalCount: 5, waitingCount: 1, options: { max: 8 } };
  const forget = watchPgPool("main", pool);
  const forgetBroken = watchPool("broken", () => {
    throw new Error("closed");
  });
  assert.deepEqual(await lines("db_client_connection_count{"), [
    'db_client_connection_count{db_client_connection_pool_name="main",db_client_connection_state="idle"} 2',
    'db_client_connection_count{db_client_connection_pool_name="main",db_client_connection_state="used"} 3',
  ]);
  assert.deepEqual(await lines("db_client_connection_max{"), ['db_client_connection_max{db_client_connection_pool_name="main"} 8']);
  forget();
  forgetBroken();
  assert.deepEqual(await lines("db_client_connection_count{"), []);
});

test("a crawler cannot make series without end", async () => {
  for (let i = 0; i < 6000; i++) finished("GET", `/made-up/${i}`, 200, 0.01);
  const counts = await lines("http_server_request_duration_seconds_count{");
  assert.ok(counts.length <= 5001);
  assert.ok(counts.some((line) => line.includes('http_route="_overflow"')));
});
