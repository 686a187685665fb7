"""Query time and pools of psycopg and Django, against a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest
from tests.collect.realservers import postgres_server

pytestmark = pytest.mark.postgres

POOL = "db_client_connection_pool_name"
SELECT = {"db_system_name": "postgresql", "db_operation_name": "SELECT", "db_namespace": "postgres"}
COUNT = "db_client_operation_duration_seconds_count"
Value = Callable[..., float]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server() as port:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def test_a_psycopg_pool_tells_of_queries_waits_and_timeouts(url: str, value: Value) -> None:
    from tocsin_instrument import psycopg as measured
    from tocsin_instrument.database import pools

    before = value(COUNT, **SELECT)
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1, timeout=5) as pool:
        measured.watch(pool, name="sync")
        with pool.connection() as connection:
            assert connection.execute("select 1").fetchone() == (1,)
            with connection.cursor() as cursor:
                cursor.execute(b"select 2")
            with pytest.raises(psycopg.errors.SyntaxError):
                connection.execute("select from where")
            assert value("db_client_connection_count", **{POOL: "sync", "db_client_connection_state": "used"}) == 1
            with pytest.raises(psycopg_pool.PoolTimeout), pool.connection(timeout=0.05):
                pass
            connection.rollback()
            waiting = threading.Thread(target=lambda: pool.putconn(pool.getconn()))
            waiting.start()
        waiting.join(10)
    pools.remove("sync")
    assert value(COUNT, **SELECT) - before == 3, "the one that failed, too"
    assert value("db_client_connection_timeouts_total", **{POOL: "sync"}) == 1
    assert value("db_client_connection_wait_time_seconds_count", **{POOL: "sync"}) == 3
    assert value("db_client_connection_use_time_seconds_count", **{POOL: "sync"}) == 2


async def test_an_asynchronous_psycopg_pool_does_too(url: str, value: Value) -> None:
    from tocsin_instrument import psycopg as measured
    from tocsin_instrument.database import pools

    before = value(COUNT, **SELECT)
    async with psycopg_pool.AsyncConnectionPool(url, min_size=1, max_size=1, open=False) as pool:
        measured.watch(pool, name="async")
        async with pool.connection() as connection:
            await connection.execute("select 1")
            with pytest.raises(psycopg_pool.PoolTimeout):
                async with pool.connection(timeout=0.05):
                    pass
    pools.remove("async")
    assert value(COUNT, **SELECT) - before == 1
    assert value("db_client_connection_timeouts_total", **{POOL: "async"}) == 1
    assert value("db_client_connection_use_time_seconds_count", **{POOL: "async"}) == 1


_DJANGO = """
import sys
sys.path.insert(0, sys.argv[1])
import django
from django.conf import settings
from django.db import connections
from django.http import HttpResponse
from django.urls import path

def page(request):
    for alias in ("default", "small"):
        with connections[alias].cursor() as cursor:
            cursor.execute("select 1")
    return HttpResponse("ok")

urlpatterns = [path("", page)]
postgres = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1"}
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", MIDDLEWARE=["tocsin_instrument.django.MetricsMiddleware"],
    DATABASES={
        "default": {**postgres, "PORT": sys.argv[2], "OPTIONS": {"pool": {"min_size": 1, "max_size": 3}}},
        "small": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    },
)
django.setup()
from django.test import Client
for _ in range(2):
    assert Client().get("/").content == b"ok"
from prometheus_client import generate_latest
print(generate_latest().decode())
connections["default"].close_pool()
"""


def test_django_s_queries_and_its_pool_come_with_the_middleware(url: str, tmp_path: Path) -> None:
    script = tmp_path / "shop.py"
    script.write_text(_DJANGO)
    port = url.rpartition(":")[2].partition("/")[0]
    source = Path(__file__).parents[2] / "instrument" / "src"
    done = subprocess.run(
        [sys.executable, str(script), str(source), port], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr

    def line(*words: str) -> Any:
        return [found for found in done.stdout.splitlines() if all(word in found for word in words) and not found.startswith("#")]

    assert line("_duration_seconds_count", 'db_system_name="sqlite"', '"SELECT"', " 2.0")
    assert line("_duration_seconds_count", 'db_system_name="postgresql"', '"SELECT"', " 2.0"), done.stdout
    assert line("db_client_connection_max", '"default"', " 3.0")
    assert line("db_client_connection_wait_time_seconds_count", '"default"')


async def test_asyncpg_s_query_log_becomes_query_time(value: Value) -> None:
    """asyncpg is no dependency of ours; the record is as its documentation has it."""
    from types import SimpleNamespace

    from tocsin_instrument import asyncpg

    loggers: list[Callable[[Any], None]] = []
    await asyncpg.measure(SimpleNamespace(add_query_logger=loggers.append))
    labels = {**SELECT, "db_operation_name": "INSERT", "db_namespace": "shop"}
    loggers[0](SimpleNamespace(query="insert into x values (1)", elapsed=0.2, conn_params=SimpleNamespace(database="shop")))
    assert value(COUNT, **labels) == 1
