"""Databases, pools, Redis, outgoing HTTP, payments, jobs, and several worker processes."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

Value = Callable[..., float]
POOL = "db_client_connection_pool_name"
STATE = "db_client_connection_state"


def test_sqlalchemy_statements_and_pool(value: Value, tmp_path: Path) -> None:
    from tocsin_instrument.sqlalchemy import instrument

    engine = sa.create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=QueuePool, pool_size=1, max_overflow=1, pool_timeout=0.05)
    instrument(engine, name="test")
    with engine.begin() as connection:
        connection.execute(sa.text("create table t (x integer)"))
        connection.execute(sa.text("insert into t values (1)"))
        connection.execute(sa.text("  select * from t"))
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(sa.text("select * from nowhere"))
        assert value("db_client_connection_count", **{POOL: "test", STATE: "used"}) == 1
        with engine.connect(), pytest.raises(sa.exc.TimeoutError):
            engine.connect()
    name = "db_client_operation_duration_seconds_count"
    database = f"{tmp_path}/a.db"
    assert value(name, db_system_name="sqlite", db_operation_name="SELECT", db_namespace=database) == 2
    assert value(name, db_system_name="sqlite", db_operation_name="INSERT", db_namespace=database) == 1
    assert value("db_client_connection_max", **{POOL: "test"}) == 2
    assert value("db_client_connection_timeouts_total", **{POOL: "test"}) == 1
    assert value("db_client_connection_pending_requests", **{POOL: "test"}) == 0
    assert value("db_client_connection_wait_time_seconds_count", **{POOL: "test"}) == 3
    assert value("db_client_connection_use_time_seconds_count", **{POOL: "test"}) == 2


@pytest.mark.parametrize(
    ("statement", "word"),
    [("select 1", "SELECT"), ("\n (SELECT 1)", "SELECT"), ("with a as (", "WITH"), ("vacuum full", "OTHER"), ("", "OTHER")],
)
def test_operations_are_few_words(statement: str, word: str) -> None:
    from tocsin_instrument.database import operation_of

    assert operation_of(statement) == word


def test_pools_of_psycopg_and_asyncpg_are_read_at_the_scrape(value: Value) -> None:
    from tocsin_instrument import asyncpg, psycopg
    from tocsin_instrument.database import pools

    class Psycopg:
        max_size = 5

        def get_stats(self) -> dict[str, int]:
            return {"pool_size": 3, "pool_available": 1, "pool_max": 5, "requests_waiting": 4}

    class Asyncpg:
        def get_size(self) -> int:
            return 4

        def get_idle_size(self) -> int:
            return 4

        def get_max_size(self) -> int:
            return 10

    psycopg.watch(Psycopg(), name="pg")
    asyncpg.watch(Asyncpg(), name="apg")
    assert value("db_client_connection_count", **{POOL: "pg", STATE: "used"}) == 2
    assert value("db_client_connection_pending_requests", **{POOL: "pg"}) == 4
    assert value("db_client_connection_count", **{POOL: "apg", STATE: "idle"}) == 4
    pools.remove("pg")
    pools.remove("apg")


def test_a_pool_that_is_gone_does_not_break_the_scrape() -> None:
    from prometheus_client import generate_latest
    from tocsin_instrument.database import pools

    def read() -> Any:
        raise RuntimeError("closed")

    pools.add("gone", read)
    assert b"db_client_connection_max" in generate_latest()
    pools.remove("gone")


def test_redis_commands_are_timed_by_name(value: Value) -> None:
    import redis
    from tocsin_instrument.redis import instrument

    client = redis.Redis(port=1, db=3, socket_connect_timeout=0.05, retry=None)
    instrument(client)
    with pytest.raises(redis.ConnectionError):
        client.get("x")
    assert (
        value("db_client_operation_duration_seconds_count", db_system_name="redis", db_operation_name="GET", db_namespace="3")
        == 1
    )


class _Heard(http.server.BaseHTTPRequestHandler):
    calls: list[tuple[str, str]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.calls.append((self.path, body))
        self.send_response(204)
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Heard.calls.clear()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Heard)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


async def test_aiohttp_calls_are_timed(value: Value, server: str) -> None:
    import aiohttp
    from tocsin_instrument.http_client import aiohttp_trace

    async with aiohttp.ClientSession(trace_configs=[aiohttp_trace()]) as session:
        async with session.get(f"{server}/x"):
            pass
        with pytest.raises(aiohttp.ClientError):
            await session.get("http://127.0.0.1:1/")
    name = "http_client_request_duration_seconds_count"
    assert value(name, server_address="127.0.0.1", http_request_method="GET", http_response_status_code="204") == 1
    assert value(name, server_address="127.0.0.1", http_request_method="GET", http_response_status_code="0") == 1


def test_payments(value: Value) -> None:
    from tocsin_instrument import payments

    payments.success("card")
    payments.failure("card", reason="declined")
    with payments.attempt("sepa"):
        pass
    with pytest.raises(KeyError), payments.attempt("sepa"):
        raise KeyError
    for i in range(100):
        payments.failure("many", reason=f"r{i}")
    assert value("payments_total", outcome="success", reason="", method="card") == 1
    assert value("payments_total", outcome="failure", reason="declined", method="card") == 1
    assert value("payments_total", outcome="failure", reason="KeyError", method="sepa") == 1
    assert value("payments_total", outcome="failure", reason="other", method="many") >= 50
    assert value("payment_duration_seconds_count", outcome="success", method="sepa") == 1


def test_jobs_count_and_tell_the_heartbeat(value: Value, server: str) -> None:
    from tocsin_instrument import jobs

    url = f"{server}/hb/token"
    with jobs.run("nightly", heartbeat_url=url):
        pass
    with pytest.raises(ValueError), jobs.run("nightly", heartbeat_url=url):
        raise ValueError("no disk")
    assert _Heard.calls == [
        ("/hb/token/start", ""),
        ("/hb/token", ""),
        ("/hb/token/start", ""),
        ("/hb/token/fail", "ValueError: no disk"),
    ]
    assert value("job_runs_total", job_name="nightly", outcome="success") == 1
    assert value("job_runs_total", job_name="nightly", outcome="failure") == 1
    assert value("job_last_success_timestamp_seconds", job_name="nightly") > 1e9
    assert jobs.heartbeat("http://127.0.0.1:1/hb/x", timeout=0.2) is False, "a deaf Tocsin never fails the job"


def test_cron_runs_a_command_and_reports_its_end(server: str) -> None:
    from tocsin_instrument.cron import main

    url = f"{server}/hb/t"
    assert main([url, "--", sys.executable, "-c", "print('done')"]) == 0
    assert main([url, sys.executable, "-c", "import sys; print('bad'); sys.exit(3)"]) == 3
    assert main([url, "/no/such/program"]) == 127
    assert main(["nonsense"]) == 64
    assert [path for path, _ in _Heard.calls] == [
        "/hb/t/start",
        "/hb/t",
        "/hb/t/start",
        "/hb/t/fail",
        "/hb/t/start",
        "/hb/t/fail",
    ]
    assert "done" in _Heard.calls[1][1] and "bad" in _Heard.calls[3][1]


def test_several_processes_answer_as_one(tmp_path: Path) -> None:
    script = (
        "from tocsin_instrument.http_server import started, finished\n"
        "started('GET'); finished('GET', '/x', 200, 0.01)\n"
        "from tocsin_instrument import exposition\n"
        "print(exposition()[0].decode())\n"
    )
    source = str(Path(__file__).parents[2] / "instrument" / "src")
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": source}
    texts = [
        subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    wanted = (
        'http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/x"}'
    )
    assert f"{wanted} 1.0" in texts[0]
    assert f"{wanted} 2.0" in texts[1], "the second process answers for both"


def test_it_imports_nothing_of_tocsin() -> None:
    folder = Path(__file__).parents[2] / "instrument" / "src" / "tocsin_instrument"
    for file in folder.glob("*.py"):
        assert "from tocsin." not in file.read_text() and "import tocsin\n" not in file.read_text(), file
