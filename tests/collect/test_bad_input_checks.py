"""The bad inputs of the collection issue, one test each: bounded, explained, and nothing else delayed.

Elsewhere: an endless body (test_check_http, test_check_http_versions), a redirect loop (test_check_http), a check that never
returns (test_probe), a lying clock (test_reports).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.collect.fakes import MemoryWriter, Pki, Servers, chain_of, http_answer, run_once

from tocsin.clock import SystemClock
from tocsin.collect.catalog import parse_check
from tocsin.collect.check_samples import write_result
from tocsin.collect.network import Network
from tocsin.collect.series_writer import SeriesWriter
from tocsin.model.check import CheckReason as R
from tocsin.model.check import CheckResult
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings


async def test_a_chain_of_100_certificates_is_judged_and_ten_of_them_are_kept(servers: Servers, pki: Pki, tmp_path: Path) -> None:
    """27 ms of processor time; OpenSSL itself draws the line at 100 between leaf and root."""
    root, chain, key = chain_of(tmp_path, 101)
    port = await servers.start(http_answer(), tls=pki.context((chain, key)))
    for raw in (
        {"http": {"url": f"https://localhost:{port}/", "tls": {"ca_file": str(root)}}},
        {"tls": {"host": "localhost", "port": port, "ca_file": str(root)}},
    ):
        result = await run_once({**raw, "timeout": "5s"})
        assert (result.ok, len(result.facts["tls"]["chain"])) == (True, 10), result.message


async def test_a_longer_chain_is_refused_with_its_reason(servers: Servers, pki: Pki, tmp_path: Path) -> None:
    root, chain, key = chain_of(tmp_path, 140)
    port = await servers.start(http_answer(), tls=pki.context((chain, key)))
    result = await run_once({"tls": {"host": "localhost", "port": port, "ca_file": str(root)}, "timeout": "5s"})
    assert (result.ok, result.reason) == (False, R.TLS)
    assert "chain too long" in result.message
    assert len(result.facts["tls"]["chain"]) == 10


class _FickleDns(Network):
    """Answers something else each time."""

    def __init__(self, *answers: list[str]) -> None:
        super().__init__(clock=SystemClock())
        self.answers, self.asked = list(answers), 0

    async def resolve(self, host: str, *, ip: str = "any") -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


async def test_a_dns_answer_that_changes_never_leads_to_an_address_that_was_not_judged(servers: Servers) -> None:
    port = await servers.start(http_answer())
    network = _FickleDns(["127.0.0.1"], ["169.254.169.254"])
    good = await run_once({"http": f"http://rebind.example:{port}/"}, network)
    assert (good.ok, network.asked) == (True, 1), "judged and connected to by one and the same answer"
    again = await run_once({"http": f"http://rebind.example:{port}/"}, network)
    assert (again.reason, "169.254.169.254" in again.message) == (R.FORBIDDEN_TARGET, True)
    mixed = await run_once({"http": f"http://rebind.example:{port}/"}, _FickleDns(["169.254.169.254", "127.0.0.1"]))
    assert (mixed.ok, mixed.facts["address"]) == (True, f"127.0.0.1:{port}"), "of several addresses only the allowed ones"


async def test_a_redirect_is_resolved_and_judged_anew(servers: Servers) -> None:
    port = await servers.start(http_answer(b"", "302 Found", ["Location: /again"]))
    result = await run_once({"http": f"http://rebind.example:{port}/"}, _FickleDns(["127.0.0.1"], ["100.100.100.200"]))
    assert (result.reason, "100.100.100.200" in result.message) == (R.FORBIDDEN_TARGET, True)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    found = Store(path=tmp_path / "data", settings=StoreSettings(), clock=SystemClock())
    found.open()
    yield found
    found.close()


def test_10_000_labels_on_a_series_are_refused_by_name_and_nothing_beside_it(store: Store) -> None:
    now_ms = SystemClock().now_ms()
    many = Labels({"__name__": "m", **{f"l{i}": "v" for i in range(10_000)}})
    batch = Batch([many, Labels({"__name__": "good"})], np.array([now_ms, now_ms]), np.array([1.0, 2.0]))
    result = store.append(batch)
    assert (result.accepted, dict(result.refused)) == (1, {"series refused by a limit": 1})


def test_a_check_with_10_000_labels_or_as_many_series_is_cut(writer: MemoryWriter) -> None:
    spec = parse_check({"name": "c", "tcp": "a:1"})
    samples = tuple((f"figure_{i}", {}, 1.0) for i in range(10_000))
    write_result(SeriesWriter(writer), spec, CheckResult(spec.id, 0, 1.0, True, R.OK, "", samples=samples), 0)
    assert len(writer.samples) == 503
    with pytest.raises(ValueError, match="at most 50"):
        parse_check({"name": "c", "tcp": "a:1", "labels": {f"l{i}": "v" for i in range(10_000)}})


async def test_an_endless_line_is_bounded_for_every_protocol_of_lines(servers: Servers) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    port = await servers.start(endless)
    for kind in ("ssh", "redis", "smtp"):
        result = await run_once({kind: {"host": "127.0.0.1", "port": port}, "timeout": "3s"})
        assert (result.ok, result.reason) == (False, R.PROTOCOL), (kind, result.message)
    for kind in ("rabbitmq", "mongodb", "grpc"):
        result = await run_once({kind: {"host": "127.0.0.1", "port": port}, "timeout": "3s"})
        assert (result.ok, result.reason) == (False, R.PROTOCOL), (kind, result.message)
