"""A Redis (or Valkey) server answers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.database_url import parse_database_url
from tocsin.collect.expect import meets
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Part, Port, address_text
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, ProbeError, degraded, failed, passed
from tocsin.collect.resp import RespClient
from tocsin.collect.statistics_redis import parse_info, redis_statistics
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration


class RedisExpect(Part):
    """What must hold beside a PONG."""

    role: str = Field("", description="master or slave")
    value: Any = Field(None, description="what `command` must answer, or a comparison such as `< 100`")
    replication_lag: DurationMs = Field(0, description="degraded when the replica has not heard of its master for this long")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 50ms")


@check("redis")
class Redis(Check):
    """A Redis server accepts us, answers PING, and if asked also a command."""

    example = (
        '{name: mail queue, redis: "redis://:secret@cache.internal/0", command: "LLEN queue:mail", expect: {value: "< 100"}}'
    )
    evidence = "answer, role, version"

    up_series = "redis_up"

    host: Host
    port: Port = 6379
    user: str = ""
    password: str = Field("", repr=False)
    database: str = ""
    command: str = Field("", description="command to send after PING, such as `LLEN queue:mail`")
    tls: bool = False
    tls_verify: bool = True
    ca_file: str = ""
    statistics: bool = Field(True, description="also collect the server's own figures, under redis_exporter's names")
    expect: RedisExpect = RedisExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        out = parse_database_url(value, "redis", "rediss")
        return {**out, "tls": True} if str(value).startswith("rediss://") else out

    @property
    def target(self) -> str:
        return address_text(self.host, self.port)

    async def run(self, io: Io) -> Outcome:
        options = TlsOptions(verify=self.tls_verify, ca_file=self.ca_file) if self.tls else None
        start_s = io.monotonic_s()
        connection = await io.connect(self.host, self.port, tls=options)
        client = RespClient(connection)
        try:
            with io.phase("authenticate", "signing in"):
                await self._sign_in(client)
            with io.phase("query", "waiting for PONG"):
                await self._expect(client, "PONG", "PING")
                answer = await client.ask(*self.command.split()) if self.command else None
                info = await self._info(client)
        finally:
            connection.close()
        return self._judge(answer, info, (io.monotonic_s() - start_s) * 1000)

    async def _sign_in(self, client: RespClient) -> None:
        if self.password:
            words = ["AUTH", self.user, self.password] if self.user else ["AUTH", self.password]
            answer = await client.ask(*words)
            if isinstance(answer, Exception):
                raise ProbeError(CheckReason.AUTHENTICATION, f"Redis refused the password: {answer}")
        if self.database:
            await self._expect(client, "OK", "SELECT", self.database)

    async def _expect(self, client: RespClient, wanted: str, *words: str) -> None:
        answer = await client.ask(*words)
        if isinstance(answer, Exception):
            denied = str(answer).startswith(("NOAUTH", "WRONGPASS", "NOPERM"))
            raise ProbeError(CheckReason.AUTHENTICATION if denied else CheckReason.QUERY, f"{words[0]} was refused: {answer}")
        if answer != wanted:
            raise ProbeError(CheckReason.UNEXPECTED_ANSWER, f"{words[0]} answered {answer!r}")

    async def _info(self, client: RespClient) -> dict[str, str]:
        """What INFO says; nothing where this user may not ask."""
        if not (self.statistics or self.expect.role or self.expect.replication_lag):
            return {}
        text = await client.ask("INFO")
        return {} if isinstance(text, Exception) else parse_info(str(text))

    def _judge(self, answer: Any, info: dict[str, str], duration_ms: float) -> Outcome:
        facts = {
            "answer": str(answer)[:1000] if self.command else "PONG",
            "role": info.get("role", ""),
            "version": info.get("redis_version", ""),
        }
        samples = tuple(redis_statistics(info)) if self.statistics else ()
        said, expect = f"PONG in {duration_ms:.0f} ms", self.expect
        if isinstance(answer, Exception):
            return failed(CheckReason.QUERY, f"{self.command.split()[0]} was refused: {answer}", facts, samples)
        if expect.value is not None and not meets(answer, expect.value):
            return failed(
                CheckReason.UNEXPECTED_ANSWER, f"{self.command} is {answer!r}, expected {expect.value!r}", facts, samples
            )
        if expect.role and info.get("role") != expect.role:
            return failed(
                CheckReason.UNEXPECTED_ANSWER, f"the role is {info.get('role')}, expected {expect.role}", facts, samples
            )
        if expect.replication_lag and info.get("role") == "slave":
            down = info.get("master_link_status") != "up"
            silent_ms = int(info.get("master_last_io_seconds_ago", "-1")) * 1000
            if down or silent_ms > expect.replication_lag:
                return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but replication is behind its master", facts, samples)
        if expect.latency and duration_ms > expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(expect.latency)}", facts, samples)
        return passed(said, facts, samples)
