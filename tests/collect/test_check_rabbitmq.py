"""The RabbitMQ check against the real broker, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from tests.collect.fakes import Pki, Servers, free_port, hang, http_answer, run_once, slam
from tests.collect.realservers import Broker, frozen, rabbitmq_server

from tocsin.model.check import CheckReason as R


async def test_refused_hung_closed_and_other_protocols_are_told_apart(servers: Servers) -> None:
    async def other_version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"AMQP\x03\x01\x00\x00")
        await writer.drain()

    async def torn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(struct.pack(">BHI", 1, 0, 1 << 30))
        await writer.drain()

    async def ask(port: int) -> Any:
        return await run_once({"rabbitmq": f"amqp://127.0.0.1:{port}", "timeout": "300ms"})

    assert (await ask(free_port())).reason is R.REFUSED
    assert (await ask(await servers.start(slam))).reason in (R.PROTOCOL, R.RESET)
    assert (await ask(await servers.start(other_version))).reason is R.PROTOCOL
    assert (await ask(await servers.start(torn))).reason is R.PROTOCOL
    hung = await ask(await servers.start(hang))
    assert (hung.reason, "greeting" in hung.message) == (R.TIMEOUT, True)
    # An HTTP server waits for the end of the headers: only patience tells it from a hung broker.
    assert (await ask(await servers.start(http_answer()))).reason is R.TIMEOUT


@pytest.fixture(scope="module")
def broker(pki: Pki) -> Iterator[Broker]:
    with rabbitmq_server(pki.ca, *pki.good) as running:
        yield running


def _manage(broker: Broker, method: str, path: str, body: dict[str, Any]) -> Any:
    """Ask the management API; its answer, parsed."""
    request = urllib.request.Request(f"http://127.0.0.1:{broker.management}/api{path}", json.dumps(body).encode(), method=method)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"watch:right").decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


async def _ask(broker: Broker, path: str = "", who: str = "watch:right", **more: Any) -> Any:
    return await run_once({"rabbitmq": f"amqp://{who}@127.0.0.1:{broker.amqp}{path}", "timeout": "5s", **more})


@pytest.mark.server
async def test_a_real_broker_signs_in_and_tells_of_its_queues(broker: Broker) -> None:
    _manage(broker, "PUT", "/queues/%2f/mail", {})
    for _ in range(3):
        body = {"properties": {}, "routing_key": "mail", "payload": "x", "payload_encoding": "string"}
        assert _manage(broker, "POST", "/exchanges/%2f/amq.default/publish", body) == {"routed": True}
    good = await _ask(broker, queue="mail", expect={"max_messages": 3})
    assert good.ok and not good.degraded, good.message
    assert [phase.name for phase in good.phases] == ["resolve", "connect", "greeting", "authenticate", "query"]
    assert (good.facts["product"], good.facts["messages"], good.facts["consumers"]) == ("RabbitMQ", 3, 0)
    assert ("rabbitmq_queue_messages_ready", {"queue": "mail", "vhost": "/"}, 3.0) in good.samples
    deep = await _ask(broker, queue="mail", expect={"max_messages": 2})
    assert (deep.ok, deep.degraded, "3 waiting" in deep.message) == (True, True, True)
    alone = await _ask(broker, queue="mail", expect={"min_consumers": 1})
    assert (alone.ok, alone.reason) == (False, R.UNEXPECTED_ANSWER)
    slow = await _ask(broker, expect={"latency": "< 1ms"})
    assert (slow.degraded, slow.reason) == (True, R.SLOW)


@pytest.mark.server
async def test_a_real_broker_refuses_by_name(broker: Broker) -> None:
    wrong = await _ask(broker, who="watch:wrong")
    assert (wrong.reason, "ACCESS_REFUSED" in wrong.message) == (R.AUTHENTICATION, True)
    assert (await _ask(broker, "/nowhere")).reason is R.AUTHENTICATION
    missing = await _ask(broker, queue="nothing")
    assert (missing.reason, "no queue nothing" in missing.message) == (R.UNEXPECTED_ANSWER, True)
    assert "right" not in str(wrong.facts) + str(missing.facts)


@pytest.mark.server
async def test_a_real_broker_over_tls(broker: Broker, pki: Pki) -> None:
    url = f"amqps://watch:right@localhost:{broker.amqps}"
    good = await run_once({"rabbitmq": url, "ca_file": str(pki.ca), "timeout": "5s"})
    assert (good.ok, good.facts["tls"]["chain"][0]["names"]) == (True, ["localhost", "127.0.0.1"]), good.message
    assert (await run_once({"rabbitmq": url, "timeout": "5s"})).reason is R.TLS
    plain = {"host": "localhost", "port": broker.amqp, "tls": True}
    assert (await run_once({"rabbitmq": plain, "timeout": "5s"})).reason is R.TLS


@pytest.mark.server
async def test_the_management_api_is_asked_by_the_http_check(broker: Broker) -> None:
    """What docs/how-to/databases.md shows."""
    url = f"http://watch:right@127.0.0.1:{broker.management}/api/health/checks/local-alarms"
    good = await run_once({"http": url, "timeout": "5s", "expect": {"body": {"json": {"status": "ok"}}}})
    assert good.ok, good.message
    assert "right" not in str(good.facts)


@pytest.mark.server
async def test_a_real_broker_that_hangs_or_is_gone(broker: Broker) -> None:
    with frozen(broker.amqp):
        hung = await run_once({"rabbitmq": f"amqp://watch:right@127.0.0.1:{broker.amqp}", "timeout": "400ms"})
        assert (hung.reason, "greeting" in hung.message) == (R.TIMEOUT, True)
    assert (await _ask(broker)).ok
