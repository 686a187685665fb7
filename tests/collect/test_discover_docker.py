"""docker_sd against a small Docker daemon on a Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from tests.collect.fakes import ManualClock, Servers, free_port

from tocsin.collect.discover import Discoverer, DiscoveryFailed
from tocsin.collect.discover_docker import docker_groups
from tocsin.collect.target import DockerDiscovery, ScrapeJob
from tocsin.config.prometheus_scrape import ScrapeConfig

_NETWORKS = [
    {
        "Id": "n1",
        "Name": "shop_default",
        "Scope": "local",
        "Internal": False,
        "Ingress": False,
        "Labels": {"com.docker.stack": "x"},
    },
    {"Id": "n2", "Name": "back", "Scope": "local", "Internal": True, "Ingress": False, "Labels": {}},
    {"Id": "n3", "Name": "host", "Scope": "local", "Internal": False, "Ingress": False, "Labels": None},
]


def _container(id: str, mode: str, networks: dict[str, Any], ports: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"Id": id, "Names": [f"/{id}"], "Labels": {"app.kind/x": "web"}, "Ports": ports, "HostConfig": {"NetworkMode": mode},
            "NetworkSettings": {"Networks": networks}, **more}  # fmt: skip


_SHOP = {"back": {"NetworkID": "n2", "IPAddress": "10.2.0.2"}, "shop_default": {"NetworkID": "n1", "IPAddress": "10.1.0.2"}}
_CONTAINERS = [
    _container("web", "shop_default", _SHOP, [
        {"PrivatePort": 8080, "PublicPort": 80, "Type": "tcp", "IP": "0.0.0.0"}, {"PrivatePort": 9, "Type": "udp"}]),
    _container("side", "container:web", {}, [{"PrivatePort": 9100, "Type": "tcp"}]),
    _container("host", "host", {"host": {"NetworkID": "n3", "IPAddress": ""}}, []),
    _container("nameless", "back", _SHOP, [], Names=[]),
    _container("portless", "back", {"back": {"NetworkID": "n2", "IPAddress": "10.2.0.9"}}, []),
]  # fmt: skip


class Daemon:
    """Answers the two questions that discovery asks."""

    def __init__(self) -> None:
        self.containers: Any = _CONTAINERS
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        self.asked.append(target)
        answer = {"/containers/json": self.containers, "/networks": _NETWORKS}[urlsplit(target).path]
        body = orjson.dumps(answer)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def _daemon(tmp_path: Path) -> AsyncIterator[tuple[Daemon, str]]:
    daemon, path = Daemon(), tmp_path / "docker.sock"
    server = await asyncio.start_unix_server(daemon, path)
    try:
        yield daemon, f"unix://{path}"
    finally:
        server.close()


async def test_containers_become_targets_with_prometheus_s_labels(tmp_path: Path) -> None:
    async with _daemon(tmp_path) as (daemon, host):
        groups = await docker_groups(DockerDiscovery(host, filters=(("label", ("a", "b")),)))
    found = {group.targets[0]: dict(group.labels.pairs) for group in groups}
    assert set(found) == {"10.2.0.2:8080", "10.2.0.2:9100", "localhost", "10.2.0.9:80"}
    assert found["10.2.0.2:8080"] == {
        "__meta_docker_container_id": "web",
        "__meta_docker_container_label_app_kind_x": "web",
        "__meta_docker_container_name": "/web",
        "__meta_docker_container_network_mode": "shop_default",
        "__meta_docker_network_id": "n2",
        "__meta_docker_network_ingress": "false",
        "__meta_docker_network_internal": "true",
        "__meta_docker_network_ip": "10.2.0.2",
        "__meta_docker_network_name": "back",
        "__meta_docker_network_scope": "local",
        "__meta_docker_port_private": "8080",
        "__meta_docker_port_public": "80",
        "__meta_docker_port_public_ip": "0.0.0.0",
    }
    assert found["10.2.0.2:9100"]["__meta_docker_container_name"] == "/side", "shares the network of another container"
    assert "__meta_docker_port_private" not in found["localhost"]
    assert parse_qs(urlsplit(daemon.asked[0]).query) == {"filters": ['{"label":["a","b"]}']}


async def test_every_network_of_a_container_when_asked_for(tmp_path: Path) -> None:
    async with _daemon(tmp_path) as (_, host):
        groups = await docker_groups(DockerDiscovery(host, match_first_network=False))
    names = {
        group.labels["__meta_docker_network_name"] for group in groups if group.labels["__meta_docker_container_id"] == "web"
    }
    assert names == {"back", "shop_default"}


async def test_a_daemon_that_is_away_or_talks_nonsense_leaves_the_last_targets(
    tmp_path: Path, servers: Servers, clock: ManualClock
) -> None:
    async with _daemon(tmp_path) as (daemon, host):
        discoverer = Discoverer(ScrapeJob("j", discovery=(DockerDiscovery(host),)), clock)
        await discoverer.refresh()
        assert len(discoverer.groups()) == 4
        daemon.containers = {"message": "nope"}
        clock.t_ms += 60_000
        await discoverer.refresh()
        assert (len(discoverer.groups()), "not Docker's" in discoverer.error) == (4, True)
    with pytest.raises(DiscoveryFailed, match=str(port := free_port())):
        await docker_groups(DockerDiscovery(f"tcp://127.0.0.1:{port}"))
    async with _daemon(tmp_path / "x" if (tmp_path / "x").mkdir() is None else tmp_path) as (daemon, _):
        over_http = await servers.start(daemon)
        assert len(await docker_groups(DockerDiscovery(f"http://127.0.0.1:{over_http}"))) == 4


def test_the_configuration_is_prometheus_s(tmp_path: Path) -> None:
    raw = {"host": "unix:///run/docker.sock", "port": 9000, "filters": [{"name": "network", "values": ["back"]}]}
    (entry,) = ScrapeConfig.model_validate({"job_name": "d", "docker_sd_configs": [raw]}).docker_sd_configs
    assert entry.discovery(tmp_path) == DockerDiscovery("unix:///run/docker.sock", 9000, (("network", ("back",)),))
    with pytest.raises(ValueError, match=r"expected unix:///var/run/docker.sock"):
        ScrapeConfig.model_validate({"job_name": "d", "docker_sd_configs": [{"host": "docker"}]})
