"""Nothing a client sends makes the server stumble: random bodies and parameters, slow bodies, clients that leave."""

from __future__ import annotations

import asyncio
import dataclasses
import re

import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tocsin.web.prometheus.params import parse_step_ms, parse_time_ms, unescape_name

FEW = hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["url", "name", "type", "matchers", "ends_at_ms", "comment", "until_ms", "text", "to", "verdict", "user", "query", "from_ms",
     "to_ms", "schedule", "users", "start_ms", "end_ms", "role", "password", "old", "new", "secret", "code", "version", "labels"]
)  # fmt: skip


def endpoints(house, prefix, methods):
    for endpoint in house.client.app.endpoints:
        if endpoint.path.startswith(prefix) and not endpoint.path.endswith("/stream"):
            path = re.sub(r"\{\w+(?::(\w+))?\}", lambda m: "1" if m[1] == "int" else "x", endpoint.path)
            for method in sorted((endpoint.methods or set()) & methods):
                yield method, path


@FEW
@given(body=st.dictionaries(FIELDS, JSON, max_size=4) | JSON | st.just("{"))
async def test_no_body_makes_our_api_stumble(house, body):
    admin = await house.as_role("admin")
    try:
        raw = orjson.dumps(body)
    except (TypeError, ValueError):
        raw = b"[" * 2000
    for method, path in endpoints(house, "/api/tocsin/v1/", {"POST", "PATCH"}):
        answer = await admin.request(method, path, body=raw, headers={"content-type": "application/json"})
        assert answer.status < 500, f"{method} {path} {raw[:200]!r}: {answer.status} {answer.text}"


@FEW
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(["query", "time", "start", "end", "step", "match[]", "limit", "timeout", "metric", "type", "search"]),
            st.text(max_size=12)
            | st.sampled_from(["up", "1", "1e400", "-1", "NaN", "1h", "{", '{a="b"}', "9" * 40, "up[1y:1ms]"]),
        ),
        max_size=5,
    )
)
async def test_no_parameter_makes_prometheuss_api_stumble(house, pairs):
    for method, path in endpoints(house, "/api/v1/", {"GET"}):
        answer = await house.client.request(method, path, query=pairs)
        # 503 is `timeout` (one below zero has passed already, as in Prometheus); everything else is a mistake or an answer.
        assert answer.status < 500 or (answer.status == 503 and "timed out" in answer.text), (
            f"{path} {pairs}: {answer.status} {answer.text}"
        )


@given(text=st.text(max_size=30))
@hypothesis_settings(max_examples=60, deadline=None)
def test_readers_of_parameters_refuse_or_answer(text):
    unescape_name(text)
    unescape_name("U__" + text)
    for read in (parse_time_ms, parse_step_ms):
        try:
            assert isinstance(read(text), int)
        except ValueError:
            pass


async def test_a_body_that_does_not_arrive_in_time_is_given_up(house):
    house.parts.settings = dataclasses.replace(house.parts.settings, body_timeout_s=0.01)
    sent = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/login", "query_string": b"", "scheme": "http", "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"127.0.0.1:8911"), (b"content-type", b"application/x-www-form-urlencoded")],
        "server": ("127.0.0.1", 8911), "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    await house.client.app(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_a_query_is_stopped_when_its_client_leaves(house):
    """The engine is told; nobody waits for the answer."""
    import threading

    from tocsin.errors import QueryCanceled
    from tocsin.web.queries import QueryRunner

    started, stopped = threading.Event(), threading.Event()

    class Leaving:
        async def receive(self):
            await asyncio.to_thread(started.wait)
            return {"type": "http.disconnect"}

    def work(stop):
        started.set()
        if stop.wait(10):
            stopped.set()

    with pytest.raises(QueryCanceled):
        await QueryRunner(house.parts).for_client(Leaving(), work)
    assert await asyncio.to_thread(stopped.wait, 10)


async def test_targets_say_when_they_were_scraped_and_what_came(house):
    entry = {"labels": {"job": "shop", "instance": "shop:80"}, "scrapeUrl": "http://shop:80/metrics", "health": "up"}
    scraped = {**entry, "lastScrape": "2026-11-22T20:45:50.250Z", "lastScrapeDuration": 0.0014, "lastSamples": 61}
    fresh = {**entry, "health": "unknown", "lastScrape": "0001-01-01T00:00:00Z"}
    house.core.answers["targets.state"] = {"activeTargets": [scraped, fresh]}
    rows = (await (await house.as_role("viewer")).get("/api/tocsin/v1/targets")).json()["targets"]
    assert [(row["last_ms"], row["samples"], row["up"]) for row in rows] == [(1795380350250, 61, True), (0, 0, None)]


async def test_a_page_that_breaks_says_so_without_details_and_the_next_one_works(house):
    def broken(args, actor):
        raise RuntimeError("secret detail")

    house.core.answers["targets.state"] = broken
    viewer = await house.as_role("viewer")
    answer = await viewer.get("/api/tocsin/v1/targets")
    assert answer.status == 500 and "secret" not in answer.text and answer.headers["x-request-id"] in answer.text
    assert (await viewer.get("/api/tocsin/v1/session")).status == 200
