"""A PostgreSQL server accepts a session and answers a query."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.database_url import parse_database_url
from tocsin.collect.expect import meets
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Part, Port, address_text
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed, unsupported
from tocsin.collect.statistics_postgres import postgres_statistics
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_STATE = """
select current_setting('max_connections')::int,
       (select count(*) from pg_stat_activity where backend_type = 'client backend'),
       pg_is_in_recovery(),
       coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp()), 0)::float8,
       current_setting('server_version')
"""


class PostgresExpect(Part):
    """What must hold beside an answer."""

    value: Any = Field(None, description="first column of the first row, or a comparison such as `> 0`")
    connections: float = Field(0.9, gt=0, le=1, description="degraded when more than this share of max_connections is used")
    replication_lag: DurationMs = Field(0, description="degraded when a replica is further behind than this")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


@check("postgres")
class Postgres(Check):
    """PostgreSQL accepts a session and answers a query; connection use and replication lag are looked at too."""

    example = '{name: db, postgres: "postgresql://watch:secret@db.internal/shop", expect: {connections: 0.8, latency: < 100ms}}'
    evidence = "value, connections, max_connections, server_version, replica, replication_lag_s"

    up_series = "pg_up"

    host: Host
    port: Port = 5432
    user: str = "postgres"
    password: str = Field("", repr=False)
    database: str = "postgres"
    query: str = "select 1"
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    ca_file: str = ""
    statistics: bool = Field(True, description="also collect the server's own figures, under postgres_exporter's names")
    expect: PostgresExpect = PostgresExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return parse_database_url(value, "postgresql", "postgres")

    @property
    def target(self) -> str:
        return f"{address_text(self.host, self.port)}/{self.database}"

    async def run(self, io: Io) -> Outcome:
        try:
            import psycopg
        except ImportError:
            return unsupported("the PostgreSQL driver is not installed: pip install 'tocsin[postgres]'")
        address = io.judge(await io.resolve(self.host))[0]
        start_s = io.monotonic_s()
        try:
            with io.phase("connect", f"opening a session at {address}:{self.port}"):
                connection = await psycopg.AsyncConnection.connect(
                    host=self.host,
                    hostaddr=address,  # the judged address is the one connected to
                    port=self.port,
                    user=self.user,
                    password=self.password,
                    dbname=self.database,
                    sslmode=self.sslmode,
                    sslrootcert=self.ca_file or None,
                    application_name="tocsin",
                    autocommit=True,
                    connect_timeout=max(int(io.timeout_s), 2),
                )
        except psycopg.OperationalError as error:
            raise _connect_error(error) from None
        async with connection:
            try:
                with io.phase("query", "waiting for the query's answer"):
                    row = await (await connection.execute(self.query.encode())).fetchone()
                duration_ms = (io.monotonic_s() - start_s) * 1000
                state = await (await connection.execute(_STATE)).fetchone()
                statistics = await postgres_statistics(connection) if self.statistics else ()
            except psycopg.Error as error:
                raise ProbeError(CheckReason.QUERY, f"the query failed: {str(error).strip()}") from None
        assert state is not None
        return self._judge(row, state, statistics, duration_ms)

    def _judge(self, row: Any, state: Any, statistics: tuple[Sample, ...], duration_ms: float) -> Outcome:
        most, used, replica, lag_s, version = state
        value = row[0] if row else None
        facts = {
            "value": str(value)[:1000],
            "connections": used,
            "max_connections": most,
            "replica": replica,
            "replication_lag_s": lag_s,
            "server_version": version,
        }
        samples: tuple[Sample, ...] = (
            ("pg_settings_max_connections", {}, float(most)),
            ("pg_replication_is_replica", {}, float(replica)),
            ("pg_replication_lag_seconds", {}, float(lag_s)),
            *statistics,
        )
        expect, said = self.expect, f"answered in {duration_ms:.0f} ms"
        if expect.value is not None and not meets(value, expect.value):
            return failed(
                CheckReason.UNEXPECTED_ANSWER, f"the query answered {value!r}, expected {expect.value!r}", facts, samples
            )
        if used > expect.connections * most:
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but {used} of {most} connections are used", facts, samples)
        if replica and expect.replication_lag and lag_s * 1000 > expect.replication_lag:
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but the replica is {lag_s:.0f} s behind", facts, samples)
        if expect.latency and duration_ms > expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(expect.latency)}", facts, samples)
        return passed(said, facts, samples)


def _connect_error(error: Exception) -> ProbeError:
    """psycopg says what happened in words: its last line that is no hint (those are indented), sorted into our reasons."""
    text = str(error).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    short = lines[-1].removeprefix("connection failed: ") if lines else "no answer"
    low = text.lower()
    for words, reason in (
        (("refused",), CheckReason.REFUSED),
        (("authentication failed", "no password supplied", "no pg_hba.conf entry"), CheckReason.AUTHENTICATION),
        (("certificate", "ssl", "tls"), CheckReason.TLS),
        (("timeout", "timed out"), CheckReason.TIMEOUT),
        (("unreachable", "no route"), CheckReason.UNREACHABLE),
        (("closed the connection", "reset"), CheckReason.RESET),
    ):
        if any(word in low for word in words):
            return ProbeError(reason, short)
    return ProbeError(CheckReason.QUERY, short)
