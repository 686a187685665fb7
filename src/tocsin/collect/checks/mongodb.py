"""A MongoDB server answers, and its replica set is not behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.database_url import parse_database_url
from tocsin.collect.expect import json_at, meets
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Part, Port, address_text
from tocsin.collect.io import Connection, Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed, unsupported
from tocsin.collect.statistics_mongodb import mongodb_statistics, replication_lag_s
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

if TYPE_CHECKING:
    from tocsin.collect.mongo_wire import MongoClient

_DAY_MS = 86_400_000
_DENIED = {13, 18, 8000}
"""Unauthorized, AuthenticationFailed, AtlasError."""


class MongodbExpect(Part):
    """What must hold beside an answer."""

    answer: dict[str, Any] = Field({}, description="path in `command`'s answer -> expected value or `> 5`; such as n, cursor.id")
    role: Literal["", "primary", "secondary"] = ""
    connections: float = Field(0.9, gt=0, le=1, description="degraded when more than this share of the connections is used")
    replication_lag: DurationMs = Field(0, description="degraded when any secondary is further behind its primary")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


@dataclass(slots=True)
class _Seen:
    """What the server answered; empty where it was not asked or would not say."""

    hello: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    lag_s: dict[str, float] = field(default_factory=dict)


@check("mongodb")
class Mongodb(Check):
    """A MongoDB server accepts us and answers a command (default ping); connection use and replication lag are looked at too."""

    example = '{name: mongo, mongodb: "mongodb://watch:secret@mongo.internal/shop", expect: {replication_lag: 10s}}'
    evidence = "answer, role, replica_set, version, connections, max_connections, replication_lag_seconds"

    up_series = "mongodb_up"

    host: Host
    port: Port = 27017
    user: str = ""
    password: str = Field("", repr=False)
    auth_source: str = Field("", description="database that knows the user; default `database`, or admin")
    database: str = ""
    command: dict[str, Any] = Field({"ping": 1}, description="command to run in `database`, such as {count: orders}")
    tls: bool = False
    tls_verify: bool = True
    ca_file: str = ""
    expires_warning: DurationMs = Field(14 * _DAY_MS, description="degraded when the certificate expires within this time")
    statistics: bool = Field(True, description="also collect the server's own figures, under mongodb_exporter's names")
    expect: MongodbExpect = MongodbExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        if str(value).startswith("mongodb+srv://"):
            raise ValueError(
                "mongodb+srv names many servers: declare a check for each, such as mongodb://user:password@host/name"
            )
        return parse_database_url(value, "mongodb")

    @property
    def target(self) -> str:
        return f"{address_text(self.host, self.port)}/{self.database}".rstrip("/")

    async def run(self, io: Io) -> Outcome:
        if find_spec("bson") is None:
            return unsupported("the MongoDB check needs pymongo, which is not installed: pip install 'tocsin[mongo]'")
        start_s = io.monotonic_s()
        options = TlsOptions(verify=self.tls_verify, ca_file=self.ca_file) if self.tls else None
        connection = await io.connect(self.host, self.port, tls=options)
        try:
            seen = await self._look(io, connection)
        finally:
            connection.close()
        return self._judge(io, seen, (io.monotonic_s() - start_s) * 1000)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _look(self, io: Io, connection: Connection) -> _Seen:
        from tocsin.collect.mongo_wire import MongoClient, MongoError

        client, seen = MongoClient(connection), _Seen()
        source = self.auth_source or self.database or "admin"
        try:
            with io.phase("greeting", "waiting for the server's hello"):
                hello: dict[str, Any] = {"hello": 1, "client": {"application": {"name": "tocsin"}}}
                seen.hello = await client.run(hello | ({"saslSupportedMechs": f"{source}.{self.user}"} if self.user else {}))
            if self.user:
                with io.phase("authenticate", "signing in"):
                    await client.sign_in(self.user, self.password, source, list(seen.hello.get("saslSupportedMechs", ())))
            with io.phase("query", "waiting for the command's answer"):
                # A secondary answers too: it is this server that is watched, not the set.
                command = {**self.command, "$readPreference": {"mode": "secondaryPreferred"}}
                seen.answer = await client.run(command, self.database or "admin")
        except MongoError as error:
            reason = CheckReason.AUTHENTICATION if error.code in _DENIED else CheckReason.QUERY
            raise ProbeError(reason, f"the server refused: {error}") from None
        seen.status = await self._allowed(client, {"serverStatus": 1})
        if "setName" in seen.hello:
            seen.lag_s = replication_lag_s(await self._allowed(client, {"replSetGetStatus": 1}))
        return seen

    async def _allowed(self, client: MongoClient, command: Mapping[str, Any]) -> dict[str, Any]:
        """The answer; nothing where this user may not ask (clusterMonitor may)."""
        from tocsin.collect.mongo_wire import MongoError

        try:
            return await client.run(command)
        except MongoError:
            return {}

    # -- judging -------------------------------------------------------------------------------------------------------

    def _judge(self, io: Io, seen: _Seen, duration_ms: float) -> Outcome:
        facts, samples = self._facts(seen), self._samples(io, seen)
        said, expect = f"answered in {duration_ms:.0f} ms", self.expect
        for path, wanted in expect.answer.items():
            found, value = json_at(seen.answer, path)
            if not found or not meets(value, wanted):
                got = repr(value)[:80] if found else "missing"
                return failed(CheckReason.UNEXPECTED_ANSWER, f"{path} is {got}, expected {wanted!r}", facts, samples)
        if expect.role and facts["role"] != expect.role:
            text = f"the server is {facts['role']}, expected {expect.role}"
            return failed(CheckReason.UNEXPECTED_ANSWER, text, facts, samples)
        used, most = facts["connections"], facts["max_connections"]
        if most and used > expect.connections * most:
            return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, but {used} of {most} connections are used", facts, samples)
        name, lag_s = max(seen.lag_s.items(), key=lambda item: item[1], default=("", 0.0))
        if expect.replication_lag and lag_s * 1000 > expect.replication_lag:
            text = f"{said}, but {name} is {lag_s:.0f} s behind its primary"
            return degraded(CheckReason.UNEXPECTED_ANSWER, text, facts, samples)
        if expect.latency and duration_ms > expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(expect.latency)}", facts, samples)
        return expiry_outcome(io, self.expires_warning, said, facts, samples) or passed(said, facts, samples)

    def _facts(self, seen: _Seen) -> dict[str, Any]:
        hello, connections = seen.hello, seen.status.get("connections") or {}
        role = "primary" if hello.get("isWritablePrimary") else "secondary" if hello.get("secondary") else "neither"
        used = int(connections.get("current") or 0)
        return {
            "answer": str({key: value for key, value in seen.answer.items() if not key.startswith(("$", "operationTime"))})[
                :1000
            ],
            "role": role,
            "replica_set": str(hello.get("setName", "")),
            "version": str(seen.status.get("version", "")),
            "connections": used,
            "max_connections": used + int(connections.get("available") or 0) if connections else 0,
            "replication_lag_seconds": seen.lag_s,
        }

    def _samples(self, io: Io, seen: _Seen) -> tuple[Sample, ...]:
        own = tuple(mongodb_statistics(seen.status)) if self.statistics else ()
        lag = (("mongodb_mongod_replset_member_replication_lag", {"name": name}, lag_s) for name, lag_s in seen.lag_s.items())
        return (*own, *lag, *tls_samples(io.trace.facts.get("tls")))
