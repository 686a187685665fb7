"""A MySQL or MariaDB server accepts a session and answers a query."""

from __future__ import annotations

import ssl
from typing import Any

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.database_url import parse_database_url
from tocsin.collect.expect import meets
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Part, Port, address_text
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed, unsupported
from tocsin.collect.statistics_mysql import mysql_statistics
from tocsin.collect.tls import TlsOptions, named_context
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_DENIED = {1044, 1045, 1698, 3118}


class MysqlExpect(Part):
    """What must hold beside an answer."""

    value: Any = Field(None, description="first column of the first row, or a comparison such as `> 0`")
    connections: float = Field(0.9, gt=0, le=1, description="degraded when more than this share of max_connections is used")
    replication_lag: DurationMs = Field(0, description="degraded when a replica is further behind than this")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


@check("mysql")
class Mysql(Check):
    """MySQL or MariaDB accepts a session and answers a query; connection use and replication lag are looked at too."""

    example = '{name: db, mysql: "mysql://watch:secret@db.internal/shop", expect: {replication_lag: 10s}}'
    evidence = "value, connections, max_connections, replica"

    up_series = "mysql_up"

    host: Host
    port: Port = 3306
    user: str = "root"
    password: str = Field("", repr=False)
    database: str = ""
    query: str = "select 1"
    tls: bool = False
    tls_verify: bool = True
    ca_file: str = ""
    statistics: bool = Field(True, description="also collect the server's own figures, under mysqld_exporter's names")
    expect: MysqlExpect = MysqlExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return parse_database_url(value, "mysql", "mariadb")

    @property
    def target(self) -> str:
        return f"{address_text(self.host, self.port)}/{self.database}".rstrip("/")

    async def run(self, io: Io) -> Outcome:
        try:
            import aiomysql
        except ImportError:
            return unsupported("the MySQL driver is not installed: pip install 'tocsin[mysql]'")
        address = io.judge(await io.resolve(self.host))[0]
        start_s = io.monotonic_s()
        context = named_context(TlsOptions(verify=self.tls_verify, ca_file=self.ca_file), self.host) if self.tls else None
        try:
            with io.phase("connect", f"opening a session at {address}:{self.port}"):
                connection = await aiomysql.connect(
                    host=address,
                    port=self.port,
                    user=self.user,
                    password=self.password,
                    db=self.database or None,
                    ssl=context,
                    autocommit=True,
                    program_name="tocsin",
                )
        except aiomysql.Error as error:
            cause = error.__cause__ or error.__context__
            raise cause if isinstance(cause, ssl.SSLError) else _connect_error(error) from None
        try:
            with io.phase("query", "waiting for the query's answer"):
                value = await self._first(connection, self.query)
            duration_ms = (io.monotonic_s() - start_s) * 1000
            status = dict(await self._pairs(connection, "show global status"))
            most = int(
                dict(await self._pairs(connection, "show global variables like 'max_connections'")).get("max_connections", 0)
            )
            lag_s = await self._lag(connection) if self.expect.replication_lag else None
        except aiomysql.Error as error:
            raise ProbeError(CheckReason.QUERY, f"the query failed: {error.args[-1] if error.args else error}") from None
        finally:
            connection.close()
        return self._judge(value, status, most, lag_s, duration_ms)

    async def _first(self, connection: Any, query: str) -> Any:
        async with connection.cursor() as cursor:
            await cursor.execute(query)
            row = await cursor.fetchone()
        return row[0] if row else None

    async def _pairs(self, connection: Any, query: str) -> list[tuple[str, str]]:
        async with connection.cursor() as cursor:
            await cursor.execute(query)
            return [(str(name), str(value)) for name, value in await cursor.fetchall()]

    async def _lag(self, connection: Any) -> float | None:
        """Seconds behind the source; None where this is no replica. Raises aiomysql.Error without the privilege to look."""
        from aiomysql import DictCursor

        async with connection.cursor(DictCursor) as cursor:
            await cursor.execute("show slave status")
            row = await cursor.fetchone()
        if not row:
            return None
        behind = row.get("Seconds_Behind_Master")
        return float("inf") if behind is None else float(behind)

    def _judge(self, value: Any, status: dict[str, str], most: int, lag_s: float | None, duration_ms: float) -> Outcome:
        used = int(status.get("Threads_connected", 0))
        facts = {"value": str(value)[:1000], "connections": used, "max_connections": most, "replica": lag_s is not None}
        samples: tuple[Sample, ...] = tuple(mysql_statistics(status.items(), most)) if self.statistics else ()
        if lag_s is not None and lag_s != float("inf"):
            samples = (*samples, ("mysql_slave_status_seconds_behind_master", {}, lag_s))
        expect, said = self.expect, f"answered in {duration_ms:.0f} ms"
        if expect.value is not None and not meets(value, expect.value):
            return failed(
                CheckReason.UNEXPECTED_ANSWER, f"the query answered {value!r}, expected {expect.value!r}", facts, samples
            )
        if most and used > expect.connections * most:
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but {used} of {most} connections are used", facts, samples)
        if lag_s is not None and lag_s * 1000 > expect.replication_lag:
            behind = "replication has stopped" if lag_s == float("inf") else f"the replica is {lag_s:.0f} s behind"
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but {behind}", facts, samples)
        if expect.latency and duration_ms > expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(expect.latency)}", facts, samples)
        return passed(said, facts, samples)


def _connect_error(error: Any) -> ProbeError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[-1]) if error.args else str(error)
    cause = error.__cause__ or error.__context__
    if code in _DENIED:
        return ProbeError(CheckReason.AUTHENTICATION, text)
    if isinstance(cause, ConnectionRefusedError) or "refused" in text.lower():
        return ProbeError(CheckReason.REFUSED, "the connection was refused: nothing listens there")
    if "ssl" in text.lower() or "certificate" in text.lower():
        return ProbeError(CheckReason.TLS, text)
    if "lost connection" in text.lower():
        return ProbeError(CheckReason.PROTOCOL, "the other side does not speak MySQL's protocol, or closed the connection")
    return ProbeError(CheckReason.UNREACHABLE if code in (2003, 0) else CheckReason.QUERY, text)
