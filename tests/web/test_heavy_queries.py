"""Heavy queries run in a process of their own that can be killed; large answers come in pieces."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib

import numpy as np
import orjson
import pytest
from starlette.requests import ClientDisconnect, Request
from tests.web.conftest import START_MS, Client

from tocsin.errors import ExecutionError, QueryTimeout
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.web.answers import stream_answer
from tocsin.web.heavy import HeavyQueries
from tocsin.web.prometheus.job import QueryJob
from tocsin.web.server import create_app

END_S = START_MS // 1000


def fill(house, series: int) -> None:
    t_ms = START_MS - np.arange(40, dtype=np.int64)[::-1] * 15_000
    for n in range(series):
        labels = Labels({"__name__": "many", "n": str(n)})
        house.store.append(Batch([labels] * len(t_ms), t_ms, np.arange(40, dtype=np.float64) + n))


async def test_an_answer_of_many_points_comes_in_pieces_and_is_whole(house):
    fill(house, 60)
    query = {"query": "many", "start": END_S - 10_000, "end": END_S, "step": "1"}
    plain = await house.client.get("/api/v1/query_range", query=query)
    packed = await house.client.get("/api/v1/query_range", query=query, headers={"accept-encoding": "gzip"})
    assert plain.status == 200 and "content-length" not in plain.headers
    rows = plain.json()["data"]["result"]
    assert len(rows) == 60 and rows[0]["values"][-1][0] == END_S
    assert orjson.loads(zlib.decompress(packed.body, wbits=31)) == plain.json()


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_client_who_leaves_before_the_first_piece_ends_the_making(encoding):
    closed = []

    class Unread:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise AssertionError("nobody reads it")

        async def aclose(self):
            closed.append(True)

    async def left():
        return {"type": "http.disconnect"}

    async def gone(_message):
        raise OSError("the client has left")

    scope = {"type": "http", "headers": [(b"accept-encoding", encoding.encode())], "asgi": {"spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        await stream_answer(Request(scope), Unread())(scope, left, gone)
    assert closed


@pytest.mark.process
async def test_a_query_beyond_the_light_budget_is_answered_by_the_worker(house):
    fill(house, 50)
    house.store.flush()
    house.parts.store = house.store.path
    house.parts.settings = dataclasses.replace(house.parts.settings, light_samples=100)
    app = create_app(house.parts)
    client = Client(app)
    try:
        heavy = await client.get("/api/v1/query_range", query={"query": "many", "start": END_S - 300, "end": END_S, "step": "15"})
        assert heavy.status == 200, heavy.text
        assert len(heavy.json()["data"]["result"]) == 50
        light = await house.client.get(
            "/api/v1/query_range", query={"query": "many", "start": END_S - 300, "end": END_S, "step": "15"}
        )
        assert heavy.json() == light.json()
        wrong = await client.get("/api/v1/query", query={"query": "many + on () many", "time": END_S})
        assert (wrong.status, wrong.json()["errorType"]) == (422, "execution")
    finally:
        for close in app._closing:
            await close()


@pytest.mark.process
async def test_a_worker_that_takes_too_long_or_too_much_is_killed_and_the_next_query_works(house):
    fill(house, 20)
    house.store.flush()
    heavy = HeavyQueries(house.store.path, memory_limit=1 << 30)
    try:
        small = QueryJob("count(many)", START_MS)
        assert b'"20"' in b"".join([piece async for piece in await heavy.answer(small, timeout_s=60)])
        slow = QueryJob("sum(sum_over_time(many[10m:1s]))", START_MS, start_ms=START_MS - 11_000_000, step_ms=1000)
        with pytest.raises(QueryTimeout):
            await heavy.answer(slow, timeout_s=0.001)
        assert b'"20"' in b"".join([piece async for piece in await heavy.answer(small, timeout_s=60)])
        left = await heavy.answer(QueryJob("many", START_MS, start_ms=START_MS - 11_000_000, step_ms=1000), timeout_s=60)
        await anext(left)
        await left.aclose()
        assert b'"20"' in b"".join([piece async for piece in await heavy.answer(small, timeout_s=60)])
        unread = await heavy.answer(QueryJob("many", START_MS, start_ms=START_MS - 11_000_000, step_ms=1000), timeout_s=60)
        await unread.aclose()
        assert b'"20"' in b"".join([piece async for piece in await heavy.answer(small, timeout_s=60)])
    finally:
        await heavy.close()
    await asyncio.sleep(0)


@pytest.mark.process
async def test_a_query_that_needs_more_memory_than_allowed_is_refused(house):
    fill(house, 400)
    house.store.flush()
    heavy = HeavyQueries(house.store.path, memory_limit=160 << 20)
    try:
        big = QueryJob("many", START_MS, start_ms=START_MS - 11_000_000, step_ms=1000)
        huge = dataclasses.replace(big, query=" or ".join(f'label_replace(many, "a", "{n}", "", "")' for n in range(8)))
        with pytest.raises(ExecutionError, match="may use"):
            async for _ in await heavy.answer(huge, timeout_s=120):
                pass
        assert b'"400"' in b"".join([p async for p in await heavy.answer(QueryJob("count(many)", START_MS), timeout_s=60)])
    finally:
        await heavy.close()
