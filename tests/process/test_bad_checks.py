"""Servers and programs that misbehave, checked by the real probe: bounded, explained, and the good one beside them goes on."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import orjson
import pytest
from tests.collect.fakes import Servers, chain_of, hang, http_answer

pytestmark = pytest.mark.process


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()


class FickleZone(asyncio.DatagramProtocol):
    """Answers each question with another address."""

    def __init__(self) -> None:
        self._addresses = itertools.cycle(["192.0.2.1", "192.0.2.2"])

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.answer.append(dns.rrset.from_text(answer.question[0].name, 5, "IN", "A", next(self._addresses)))
        self._transport.sendto(answer.to_wire(), address)


class Nasty:
    """All of them on loopback, in a thread of their own."""

    def __init__(self, folder: Path) -> None:
        self.ports: dict[str, int] = {}
        self.root, self._chain, self._key = chain_of(folder, 101)
        self._loop = asyncio.new_event_loop()
        self._servers = Servers()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    async def _start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._chain, self._key)
        labels = ",".join(f'l{i}="v"' for i in range(10_000))
        metrics = http_answer(f"many{{{labels}}} 1\ngood 1\n".encode(), headers=["Content-Type: text/plain"])
        handlers = {
            "good": http_answer(), "endless": endless, "hang": hang, "labels": metrics,
            "around": http_answer(b"", "302 Found", ["Location: /again"]),
        }  # fmt: skip
        for name, handler in handlers.items():
            self.ports[name] = await self._servers.start(handler)
        self.ports["chain"] = await self._servers.start(hang, tls=context)
        transport, _ = await self._loop.create_datagram_endpoint(FickleZone, local_addr=("127.0.0.1", 0))
        self.ports["fickle"] = transport.get_extra_info("sockname")[1]

    async def _end(self) -> None:
        await self._servers.stop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


CONFIG = """
checks:
  - {{name: good, http: "http://127.0.0.1:{good}/", every: 1s}}
  - {{name: endless, http: "http://127.0.0.1:{endless}/", every: 1s}}
  - {{name: around, http: "http://127.0.0.1:{around}/", every: 1s}}
  - {{name: hang, http: "http://127.0.0.1:{hang}/", every: 1s, timeout: 1s}}
  - {{name: chain, tls: "localhost:{chain}", ca_file: {root}, every: 1s}}
  - {{name: fickle, dns: {{name: shop.example, server: 127.0.0.1, port: {fickle}, expect: {{answers: [192.0.2.1]}}}}, every: 1s}}
  - {{name: sleeps, plugin: {{command: [{sleep}, "600"]}}, every: 1s, timeout: 1s}}
  - {{name: talks, plugin: {{command: ["{python}", -c, "while True: print('x' * 1000)"]}}, every: 2s}}
  - {{name: far, tcp: "127.0.0.1:{good}", every: 1s, locations: [elsewhere]}}
scrape_configs:
  - {{job_name: labels, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{{targets: ["127.0.0.1:{labels}"]}}]}}
"""

SAID = {
    "endless": ("up", "HTTP 200"),
    "around": ("down", "redirected more than 10 times"),
    "hang": ("down", "no answer within"),
    "chain": ("up", "certificate valid for"),
    "sleeps": ("down", "no answer within"),
    "talks": ("down", "wrote more than 1 MiB and was stopped"),
}
"""What each check comes to, and words of its reason."""


@pytest.fixture
def nasty(tocsin: Any, tmp_path: Path) -> Iterator[Nasty]:
    servers = Nasty(tmp_path)
    tocsin.folder.mkdir(parents=True)
    text = CONFIG.format(**servers.ports, root=servers.root, python=sys.executable, sleep=shutil.which("sleep"))
    (tocsin.folder / "tocsin.yaml").write_text(text)
    tocsin.start()
    yield servers
    servers.stop()


def checks(tocsin: Any) -> dict[str, Any]:
    return {row["id"]: row for row in tocsin.get("/api/tocsin/v1/checks")["checks"]}


def test_they_are_bounded_and_explained_and_delay_nobody(tocsin: Any, nasty: Nasty) -> None:
    def state(name: str, wanted: tuple[str, str]) -> bool:
        row = checks(tocsin)[name]
        return row["state"] == wanted[0] and wanted[1] in row["message"]

    for name, wanted in SAID.items():
        tocsin.until(lambda name=name, wanted=wanted: state(name, wanted), 60, f"{name} is {wanted}")
    tocsin.until(
        lambda: "192.0.2.1 is not among them" in str(checks(tocsin)["fickle"]) or state("fickle", ("down", "")), 30, "fickle"
    )
    runs = "count_over_time(probe_success{check='good'}[5m])"
    before = tocsin.query(runs)[0][1]
    tocsin.until(lambda: tocsin.query(runs)[0][1] >= before + 3, 60, "the good check goes on")
    assert tocsin.query("min_over_time(probe_success{check='good'}[5m])")[0][1] == 1
    (target,) = tocsin.get("/api/v1/targets")["data"]["activeTargets"]
    assert (target["health"], tocsin.query("many"), tocsin.query("good")[0][1]) == ("up", [], 1)
    assert "1 of 2 series are not stored, many is the first" in target["lastError"]
    assert "1 of 2 series are not stored" in tocsin.cli("coverage", status=1)


def test_an_agent_that_lies_about_its_clock_is_dated_by_ours(tocsin: Any, nasty: Nasty) -> None:
    admin, tocsin.token = tocsin.token, tocsin.cli("token", "create", "--role", "probe", "--place", "elsewhere").strip()
    ahead_ms = int(time.time() * 1000) + 365 * 86_400_000
    result = {"check_id": "far", "started_ms": ahead_ms, "duration_ms": 1.0, "ok": True, "reason": "ok", "message": "lies"}
    report = {"location": "elsewhere", "results": [result], "session": "s", "number": 1, "sent_ms": ahead_ms}
    tocsin.post("/api/tocsin/v1/probe/report", orjson.loads(orjson.dumps(report)))
    tocsin.token = admin
    row = tocsin.until(lambda: (row := checks(tocsin)["far"])["message"] == "lies" and row, 20, "the report is in")
    assert row["state"] == "up" and row["last_ms"] < ahead_ms - 300 * 86_400_000
