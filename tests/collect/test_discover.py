"""Discovery by HTTP and DNS: good answers, bad days, and that the last good answer stays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
import orjson
import pytest
from tests.collect.fakes import ManualClock, Servers

from tocsin.collect.discover import Discoverer, DiscoveryFailed, failing, groups_of, read_groups_file
from tocsin.collect.discover_dns import dns_groups
from tocsin.collect.target import DnsDiscovery, HttpDiscovery, HttpSettings, ScrapeJob, TargetGroup, UnsupportedDiscovery
from tocsin.errors import ConfigError


class Answers:
    """A discovery endpoint whose next answer a test decides."""

    def __init__(self) -> None:
        self.status, self.kind = "200 OK", "application/json"
        self.body: Any = [{"targets": ["10.0.0.1:9100"], "labels": {"zone": "a"}}]
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        head = f"HTTP/1.1 {self.status}\r\nContent-Type: {self.kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


async def test_http_discovery_keeps_its_last_good_answer_through_bad_days(servers: Servers, clock: ManualClock) -> None:
    answers = Answers()
    url = f"http://127.0.0.1:{await servers.start(answers)}/targets"
    job = ScrapeJob("j", discovery=(HttpDiscovery(url, 60_000, HttpSettings(username="u", password="p")),))
    discoverer = Discoverer(job, clock)
    assert discoverer.next_ms() == 0
    await discoverer.refresh()
    (group,) = discoverer.groups()
    assert (group.targets, group.labels["zone"], group.labels["__meta_url"]) == (("10.0.0.1:9100",), "a", url)
    assert "Authorization: Basic dTpw" in answers.heads[0]
    assert discoverer.next_ms() == clock.t_ms + 60_000

    async def again(**values: Any) -> None:
        vars(answers).update({"status": "200 OK", "kind": "application/json", "body": []} | values)
        clock.t_ms += 60_000
        await discoverer.refresh()

    for values, said in (
        ({"status": "500 Internal Server Error"}, "HTTP status 500"),
        ({"kind": "text/html"}, "content type"),
        ({"body": b"[{"}, "unexpected end of data"),
        ({"body": {"targets": []}}, "expected a list"),
        ({"body": [{"targets": [1]}]}, r"[0].targets"),
    ):
        await again(**values)
        assert discoverer.groups() == [group], values
        assert said in discoverer.error
    await again()
    assert discoverer.groups() == []
    assert discoverer.error == ""


@pytest.mark.parametrize(
    "value", ["x", 1, {"targets": []}, ["x"], [{"target": ["a:1"]}], [{"targets": "a:1"}], [{"labels": ["a"]}]]
)
def test_what_is_not_target_groups_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        groups_of(value, source="s", origin={})


class Record:
    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


def test_labels_of_a_targets_file_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "targets.yml"
    path.write_text("- targets: [db1:9100]\n  labels: {version: 1.10, leader: yes, rack: 007}\n")
    (group,) = read_groups_file(path)
    assert {name: group.labels[name] for name in ("version", "leader", "rack")} == {
        "version": "1.10",
        "leader": "yes",
        "rack": "007",
    }
    path.write_text("")
    assert read_groups_file(path) == ()


@pytest.mark.parametrize(("text", "said"), [("- targets: [", r"targets\.yml:2:1"), ("[" * 100_000, "too deeply nested")])
def test_a_targets_file_that_is_not_yaml_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "targets.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_groups_file(path)


async def test_dns_discovery_reads_each_kind_of_record(monkeypatch: pytest.MonkeyPatch) -> None:
    records: dict[tuple[str, str], Any] = {
        ("_http._tcp.shop.example", "SRV"): [
            Record(target="web1.shop.example.", port=8080),
            Record(target="web2.shop.example.", port=8081),
        ],
        ("shop.example", "A"): [Record(address="10.0.0.1"), Record(address="10.0.0.2")],
        ("shop.example", "AAAA"): [Record(address="2001:db8::1")],
        ("shop.example", "MX"): [Record(exchange="mail.shop.example.")],
    }

    async def resolve(name: str, kind: str, **_more: Any) -> Any:
        if name == "broken.example":
            raise dns.exception.Timeout
        if (name, kind) not in records:
            raise dns.resolver.NXDOMAIN
        return records[name, kind]

    monkeypatch.setattr(dns.asyncresolver, "resolve", resolve)
    srv = await dns_groups(DnsDiscovery(("_http._tcp.shop.example",)))
    assert [group.targets[0] for group in srv] == ["web1.shop.example:8080", "web2.shop.example:8081"]
    assert srv[0].labels["__meta_dns_srv_record_target"] == "web1.shop.example."
    assert [g.targets[0] for g in await dns_groups(DnsDiscovery(("shop.example",), "A", 9100))] == [
        "10.0.0.1:9100",
        "10.0.0.2:9100",
    ]
    assert (await dns_groups(DnsDiscovery(("shop.example",), "AAAA", 9100)))[0].targets == ("[2001:db8::1]:9100",)
    assert (await dns_groups(DnsDiscovery(("shop.example",), "MX", 25)))[0].targets == ("mail.shop.example:25",)
    gone = await dns_groups(DnsDiscovery(("nobody.example",), "A", 1))
    assert [group.targets for group in gone] == [()]
    with pytest.raises(DiscoveryFailed):
        await dns_groups(DnsDiscovery(("broken.example",), "A", 1))


async def test_a_discovery_nobody_asks_shows_as_failing_and_leaves_the_job_s_other_targets(clock: ManualClock) -> None:
    job = ScrapeJob("mixed", static=(TargetGroup(("h:1",)),), discovery=(UnsupportedDiscovery("consul_sd_configs", "do that"),))
    discoverer = Discoverer(job, clock)
    await discoverer.refresh()
    assert (discoverer.error, discoverer.groups()) == ("not watched: do that", list(job.static))
    assert failing.value("mixed") == 1.0
    await discoverer.close()
    assert "mixed" not in str(list(failing.samples()))
