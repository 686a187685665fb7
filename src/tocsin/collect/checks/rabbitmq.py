"""A RabbitMQ broker signs us in, and a queue is not too deep."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tocsin.collect.amqp import AmqpClient, AmqpClosed, Queue
from tocsin.collect.certificate import expiry_outcome, tls_samples
from tocsin.collect.check import Check, check
from tocsin.collect.database_url import parse_database_url
from tocsin.collect.fields import DurationMs, Host, LatencyMs, Part, Port, address_text
from tocsin.collect.io import Connection, Io
from tocsin.collect.outcome import Outcome, ProbeError, Sample, degraded, failed, passed
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_DAY_MS = 86_400_000
_REFUSED, _NOT_FOUND, _NOT_ALLOWED = 403, 404, 530


class RabbitmqExpect(Part):
    """What must hold beside signing in."""

    max_messages: int | None = Field(None, ge=0, description="degraded when more messages wait in `queue`")
    min_consumers: int = Field(0, ge=0, description="fails when fewer consumers listen to `queue`")
    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 100ms")


@check("rabbitmq")
class Rabbitmq(Check):
    """A RabbitMQ broker (AMQP 0-9-1) signs us in to a virtual host; with `queue` that queue exists and its depth is looked at.

    Nothing is declared, published or consumed.
    """

    example = '{name: mail queue, rabbitmq: "amqp://watch:secret@mq.internal/", queue: mail, expect: {min_consumers: 1}}'
    evidence = "product, version, cluster_name, messages, consumers, certificate chain"

    host: Host
    port: Port = 5672
    user: str = "guest"
    password: str = Field("guest", repr=False)
    vhost: str = "/"
    queue: str = Field("", max_length=255)
    tls: bool = False
    tls_verify: bool = True
    ca_file: str = ""
    expires_warning: DurationMs = Field(14 * _DAY_MS, description="degraded when the certificate expires within this time")
    expect: RabbitmqExpect = RabbitmqExpect()

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        out = parse_database_url(value, "amqp", "amqps")
        if "database" in out:
            out["vhost"] = out.pop("database")
        return {"port": 5671, **out, "tls": True} if str(value).startswith("amqps://") else out

    @property
    def target(self) -> str:
        return f"{address_text(self.host, self.port)}{f' queue {self.queue}' if self.queue else ''}"

    async def run(self, io: Io) -> Outcome:
        start_s = io.monotonic_s()
        options = TlsOptions(verify=self.tls_verify, ca_file=self.ca_file) if self.tls else None
        connection = await io.connect(self.host, self.port, tls=options)
        try:
            properties, queue = await self._converse(io, connection)
        finally:
            connection.close()
        facts: dict[str, Any] = {name: str(properties.get(name, ""))[:200] for name in ("product", "version", "cluster_name")}
        facts["vhost"] = self.vhost
        return self._judge(io, queue, facts, (io.monotonic_s() - start_s) * 1000)

    async def _converse(self, io: Io, connection: Connection) -> tuple[dict[str, Any], Queue | None]:
        client = AmqpClient(connection)
        with io.phase("greeting", "waiting for the broker's greeting"):
            properties = await client.start()
        try:
            with io.phase("authenticate", "signing in"):
                await client.sign_in(self.user, self.password, self.vhost)
        except AmqpClosed as closed:
            reason = CheckReason.AUTHENTICATION if closed.code in (_REFUSED, _NOT_ALLOWED) else CheckReason.QUERY
            raise ProbeError(reason, f"the broker refused to sign in: {closed}") from None
        queue = None
        if self.queue:
            try:
                with io.phase("query", "waiting for what the broker knows of the queue"):
                    queue = await client.queue(self.queue)
            except AmqpClosed as closed:
                reason = CheckReason.AUTHENTICATION if closed.code == _REFUSED else CheckReason.UNEXPECTED_ANSWER
                missing = f"there is no queue {self.queue}: " if closed.code == _NOT_FOUND else ""
                raise ProbeError(reason, f"{missing}{closed}") from None
        await client.close()
        return properties, queue

    def _judge(self, io: Io, queue: Queue | None, facts: dict[str, Any], duration_ms: float) -> Outcome:
        expect, said = self.expect, f"signed in within {duration_ms:.0f} ms"
        samples: tuple[Sample, ...] = tls_samples(io.trace.facts.get("tls"))
        if queue is not None:
            labels = {"queue": self.queue, "vhost": self.vhost}
            samples += (
                ("rabbitmq_queue_messages_ready", labels, float(queue.messages)),
                ("rabbitmq_queue_consumers", labels, float(queue.consumers)),
            )
            facts |= {"queue": self.queue, "messages": queue.messages, "consumers": queue.consumers}
            said = f"{self.queue}: {queue.messages} waiting, {queue.consumers} consumers"
            if queue.consumers < expect.min_consumers:
                return failed(
                    CheckReason.UNEXPECTED_ANSWER, f"{said}, expected at least {expect.min_consumers} consumers", facts, samples
                )
            if expect.max_messages is not None and queue.messages > expect.max_messages:
                return degraded(CheckReason.UNEXPECTED_ANSWER, f"{said}, more than {expect.max_messages} wait", facts, samples)
        if expect.latency and duration_ms > expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(expect.latency)}", facts, samples)
        return expiry_outcome(io, self.expires_warning, said, facts, samples) or passed(said, facts, samples)
