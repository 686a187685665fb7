"""docker_sd: containers of a Docker daemon, one target for each network and TCP port. Labels are Prometheus's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from tocsin.collect.api_client import ApiClient, ApiFailed
from tocsin.collect.discover import DiscoveryFailed
from tocsin.collect.fields import address_text
from tocsin.collect.meta_labels import label_name
from tocsin.collect.target import DockerDiscovery, TargetGroup
from tocsin.model.labels import Labels

_CONTAINER = "__meta_docker_container_"
_NETWORK = "__meta_docker_network_"
_PORT = "__meta_docker_port_"
_MOST_SHARED = 10


async def docker_groups(discovery: DockerDiscovery) -> tuple[TargetGroup, ...]:
    """Ask once. Raises DiscoveryFailed."""
    parts = urlsplit(discovery.host)
    socket = parts.path if parts.scheme == "unix" else ""
    base = "http://docker" if socket else discovery.host.replace("tcp://", "http://", 1)
    filters = {name: list(values) for name, values in discovery.filters}
    try:
        async with ApiClient(base, discovery.http, socket=socket) as client:
            containers = await client.json("/containers/json", {"filters": orjson.dumps(filters).decode()} if filters else None)
            networks = await client.json("/networks")
    except ApiFailed as error:
        raise DiscoveryFailed(f"{discovery.host}: {error}") from None
    try:
        return tuple(_groups(discovery, containers, networks))
    except (KeyError, TypeError, AttributeError) as error:
        raise DiscoveryFailed(f"{discovery.host}: the answer is not Docker's: {type(error).__name__} {error}") from None


def _groups(discovery: DockerDiscovery, containers: list[Any], networks: list[Any]) -> Iterator[TargetGroup]:
    by_network = {network["Id"]: _network_labels(network) for network in networks}
    by_id = {container["Id"]: container for container in containers}
    for container in containers:
        if not container.get("Names"):
            continue
        common = _container_labels(container)
        joined = {name: found for name, found in _networks(container, by_id).items() if found}
        if discovery.match_first_network and len(joined) > 1:
            joined = {min(joined): joined[min(joined)]}
        for network in joined.values():
            labels = common | by_network.get(network.get("NetworkID", ""), {})
            yield from _targets(discovery, container, network, labels)


def _targets(
    discovery: DockerDiscovery, container: Mapping[str, Any], network: Mapping[str, Any], labels: Mapping[str, str]
) -> Iterator[TargetGroup]:
    ip = str(network.get("IPAddress", ""))
    own = {**labels, f"{_NETWORK}ip": ip}
    ports = [port for port in container.get("Ports") or () if port.get("Type") == "tcp"]
    for port in ports:
        found = {**own, f"{_PORT}private": str(port["PrivatePort"])}
        if port.get("PublicPort"):
            found |= {f"{_PORT}public": str(port["PublicPort"]), f"{_PORT}public_ip": str(port.get("IP", ""))}
        yield _group(address_text(ip, port["PrivatePort"]), found, container)
    if not ports:
        in_host = own[f"{_CONTAINER}network_mode"] == "host"
        yield _group(discovery.host_networking_host if in_host else address_text(ip, discovery.port), own, container)


def _group(address: str, labels: Mapping[str, str], container: Mapping[str, Any]) -> TargetGroup:
    source = f"{container['Id']}:{labels[_NETWORK + 'ip']}:{address}:{labels.get(_PORT + 'public_ip', '')}"
    return TargetGroup((address,), Labels(labels), source=source)


def _networks(container: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Networks of a container, or of the one whose network it shares (`container:<id>`)."""
    for _ in range(_MOST_SHARED):
        found: Mapping[str, Mapping[str, Any]] = (container.get("NetworkSettings") or {}).get("Networks") or {}
        kind, _, other = str((container.get("HostConfig") or {}).get("NetworkMode", "")).partition(":")
        if found or kind != "container" or other not in by_id:
            return found
        container = by_id[other]
    return {}


def _container_labels(container: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{_CONTAINER}id": str(container["Id"]),
        f"{_CONTAINER}name": str(container["Names"][0]),
        f"{_CONTAINER}network_mode": str((container.get("HostConfig") or {}).get("NetworkMode", "")),
        **{f"{_CONTAINER}label_{label_name(name)}": str(value) for name, value in (container.get("Labels") or {}).items()},
    }


def _network_labels(network: Mapping[str, Any]) -> dict[str, str]:
    def flag(name: str) -> str:
        return "true" if network.get(name) else "false"

    return {
        f"{_NETWORK}id": str(network["Id"]),
        f"{_NETWORK}name": str(network.get("Name", "")),
        f"{_NETWORK}scope": str(network.get("Scope", "")),
        f"{_NETWORK}internal": flag("Internal"),
        f"{_NETWORK}ingress": flag("Ingress"),
        **{f"{_NETWORK}label_{label_name(name)}": str(value) for name, value in (network.get("Labels") or {}).items()},
    }
