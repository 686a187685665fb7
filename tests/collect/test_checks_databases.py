"""Redis, PostgreSQL and MySQL checks against real servers, and Redis's protocol against a small one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.collect.fakes import Servers, run_once
from tests.collect.realservers import mariadb_server, postgres_server, redis_server

from tocsin.model.check import CheckReason as R


async def test_redis_speaks_resp_or_something_else(servers: Servers) -> None:
    async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+PONG\r\n")
        await reader.readuntil(b"INFO\r\n")
        writer.write(b"-NOPERM no INFO for you\r\n")
        await writer.drain()

    async def noauth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"-NOAUTH Authentication required.\r\n")
        await writer.drain()

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    assert (await run_once({"redis": f"127.0.0.1:{await servers.start(pong)}"})).ok
    assert (await run_once({"redis": f"127.0.0.1:{await servers.start(noauth)}"})).reason is R.AUTHENTICATION
    assert (await run_once({"redis": f"127.0.0.1:{await servers.start(web)}"})).reason is R.PROTOCOL


@pytest.mark.server
async def test_a_real_redis() -> None:
    with redis_server("--requirepass", "right") as port:
        good = await run_once(
            {"redis": f"redis://:right@127.0.0.1:{port}/0", "timeout": "5s", "command": "DBSIZE", "expect": {"value": "< 5"}}
        )
        assert (good.ok, [phase.name for phase in good.phases][:3]) == (True, ["resolve", "connect", "authenticate"]), (
            good.message
        )
        figures = {name: value for name, _, value in good.samples}
        assert figures["redis_connected_clients"] >= 1
        assert {"redis_memory_used_bytes", "redis_commands_processed_total", "redis_config_maxclients"} <= set(figures)
        wrong = await run_once({"redis": f"redis://:wrong@127.0.0.1:{port}", "timeout": "5s"})
        assert wrong.reason is R.AUTHENTICATION
        assert (await run_once({"redis": f"127.0.0.1:{port}", "timeout": "5s"})).reason is R.AUTHENTICATION
        value = await run_once(
            {"redis": f"redis://:right@127.0.0.1:{port}", "timeout": "5s", "command": "DBSIZE", "expect": {"value": 9}}
        )
        assert value.reason is R.UNEXPECTED_ANSWER
        role = await run_once({"redis": f"redis://:right@127.0.0.1:{port}", "timeout": "5s", "expect": {"role": "slave"}})
        assert "the role is master" in role.message


@pytest.fixture(scope="module")
def postgres() -> Iterator[int]:
    with postgres_server() as port:
        yield port


@pytest.mark.postgres
async def test_a_real_postgresql(postgres: int) -> None:
    base = f"postgresql://postgres@127.0.0.1:{postgres}/postgres"
    good = await run_once({"postgres": base, "timeout": "5s", "query": "select 41 + 1", "expect": {"value": 42}})
    assert good.ok, good.message
    assert [phase.name for phase in good.phases] == ["resolve", "connect", "query"]
    assert good.facts["max_connections"] == 100
    names = {name for name, _, _ in good.samples}
    assert {"pg_settings_max_connections", "pg_stat_activity_count", "pg_database_size_bytes", "pg_locks_count"} <= names
    assert "pg_stat_database_xact_commit" in names
    active = [(labels, value) for name, labels, value in good.samples if name == "pg_stat_activity_count"]
    assert ({"datname": "postgres", "state": "active"}, 1.0) in active
    wrong = await run_once({"postgres": base, "timeout": "5s", "expect": {"value": "> 5"}})
    assert wrong.reason is R.UNEXPECTED_ANSWER
    broken = await run_once({"postgres": base, "timeout": "5s", "query": "select * from nowhere"})
    assert (broken.reason, "nowhere" in broken.message) == (R.QUERY, True)
    denied = await run_once({"postgres": f"postgresql://pw:bad@127.0.0.1:{postgres}/postgres", "timeout": "5s"})
    assert denied.reason is R.AUTHENTICATION, denied.message
    missing = await run_once({"postgres": f"postgresql://postgres@127.0.0.1:{postgres}/nope", "timeout": "5s"})
    assert missing.reason is R.QUERY
    slow = await run_once({"postgres": base, "timeout": "400ms", "query": "select pg_sleep(5)"})
    assert slow.reason is R.TIMEOUT
    full = await run_once({"postgres": base, "timeout": "5s", "expect": {"connections": 0.001}})
    assert full.degraded


@pytest.mark.server
async def test_a_real_mariadb() -> None:
    with mariadb_server() as port:
        base = f"mysql://watch:right@127.0.0.1:{port}/"
        good = await run_once({"mysql": base, "timeout": "5s", "query": "select 41 + 1", "expect": {"value": 42}})
        assert good.ok, good.message
        assert good.facts["connections"] >= 1
        figures = {name: value for name, _, value in good.samples}
        assert figures["mysql_global_status_threads_connected"] >= 1
        assert figures["mysql_global_variables_max_connections"] > 1
        assert "mysql_global_status_commands_total" in figures
        denied = await run_once({"mysql": f"mysql://watch:bad@127.0.0.1:{port}/", "timeout": "5s"})
        assert denied.reason is R.AUTHENTICATION, denied.message
        broken = await run_once({"mysql": base, "timeout": "5s", "query": "select * from nowhere.x"})
        assert broken.reason is R.QUERY, broken.message
        slow = await run_once({"mysql": base, "timeout": "400ms", "query": "select sleep(5)"})
        assert slow.reason is R.TIMEOUT
        lag = await run_once({"mysql": base, "timeout": "5s", "expect": {"replication_lag": "10s"}})
        assert lag.ok, lag.message
