"""Discovery: where a job's targets come from. A discovery that fails or answers nonsense leaves the last good answer."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tocsin.clock import Clock
from tocsin.collect.target import (
    Discovery,
    DnsDiscovery,
    DockerDiscovery,
    FileDiscovery,
    HttpDiscovery,
    KubernetesDiscovery,
    ScrapeJob,
    TargetGroup,
    UnsupportedDiscovery,
)
from tocsin.errors import ConfigError
from tocsin.formats.yaml_tree import as_written, read_yaml
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge
from tocsin.model.labels import Labels

if TYPE_CHECKING:
    from tocsin.collect.discover_kubernetes import KubernetesWatch

log = get_log("collect.discover")

refreshes_total = Counter("tocsin_collect_discoveries_total", "Discovery refreshes by kind and outcome.", ["kind", "outcome"])
failing = Gauge("tocsin_collect_discovery_failing", "1 while a scrape job's targets cannot be learned.", ["scrape_job"])

# Files are cheap to look at and people expect a saved file to be seen: more often than refresh_interval says.
_FILE_LOOK_MS = 5_000
_NEVER_MS = 1 << 62


class DiscoveryFailed(Exception):
    """Why no targets could be learned; the text is shown."""


class Discoverer:
    """All discoveries of one job."""

    def __init__(self, job: ScrapeJob, clock: Clock) -> None:
        self._job = job
        self._clock = clock
        self._found: list[tuple[TargetGroup, ...]] = [()] * len(job.discovery)
        self._due_ms = [0] * len(job.discovery)
        self._stamps: dict[str, tuple[int, int, tuple[TargetGroup, ...]]] = {}
        self._errors: dict[int, str] = {}
        self._watches: dict[int, KubernetesWatch] = {}
        self._looked = False

    @property
    def error(self) -> str:
        return "; ".join(self._errors.values())

    def groups(self) -> list[TargetGroup]:
        return [*self._job.static, *(group for found in self._found for group in found)]

    def next_ms(self) -> int:
        """When to look again; 0 = not looked yet."""
        if not self._looked:
            return 0
        return min(self._due_ms, default=_NEVER_MS)

    async def refresh(self) -> None:
        """Look at what is due."""
        self._looked = True
        now_ms = self._clock.now_ms()
        await asyncio.gather(*(self._one(i) for i, due_ms in enumerate(self._due_ms) if due_ms <= now_ms))
        if self._due_ms:
            failing.set(1.0 if self._errors else 0.0, self._job.name)

    async def _one(self, i: int) -> None:
        discovery = self._job.discovery[i]
        kind = type(discovery).__name__.removesuffix("Discovery").lower()
        try:
            self._found[i] = await self._groups(i, discovery)
            self._errors.pop(i, None)
            if (watch := self._watches.get(i)) is not None and watch.error:
                self._errors[i] = watch.error  # the targets are as last seen
            refreshes_total.inc(kind, "ok")
        except DiscoveryFailed as error:
            refreshes_total.inc(kind, "failed")
            if self._errors.get(i) != str(error):
                log.warning("discovery failed; its last good targets stay", job=self._job.name, kind=kind, error=str(error))
            self._errors[i] = str(error)
        every_ms = min(discovery.refresh_ms, _FILE_LOOK_MS) if kind == "file" else discovery.refresh_ms
        self._due_ms[i] = self._clock.now_ms() + every_ms

    async def _groups(self, i: int, discovery: Discovery) -> tuple[TargetGroup, ...]:
        """Ask the discovery; what it needs is imported when it is used. Raises DiscoveryFailed."""
        match discovery:
            case FileDiscovery():
                return await asyncio.to_thread(self._files, discovery)
            case HttpDiscovery():
                from tocsin.collect.discover_http import http_groups

                return await http_groups(discovery)
            case DnsDiscovery():
                from tocsin.collect.discover_dns import dns_groups

                return await dns_groups(discovery)
            case DockerDiscovery():
                from tocsin.collect.discover_docker import docker_groups

                return await docker_groups(discovery)
            case KubernetesDiscovery():
                return await self._watched(i, discovery)
            case UnsupportedDiscovery():
                raise DiscoveryFailed(f"not watched: {discovery.advice}")

    async def _watched(self, i: int, discovery: KubernetesDiscovery) -> tuple[TargetGroup, ...]:
        from tocsin.collect.discover_kubernetes import KubernetesWatch

        if i not in self._watches:
            self._watches[i] = KubernetesWatch(discovery, self._clock)
        return await self._watches[i].groups()

    async def close(self) -> None:
        """End what watches in the background."""
        for watch in self._watches.values():
            await watch.close()
        self._watches.clear()
        failing.remove(self._job.name)

    def _files(self, discovery: FileDiscovery) -> tuple[TargetGroup, ...]:
        """Groups of every matching file; a file that is gone takes its targets with it, a broken one keeps its last good ones."""
        problems = []
        stamps: dict[str, tuple[int, int, tuple[TargetGroup, ...]]] = {}
        for path in sorted({path for pattern in discovery.files for path in glob.glob(pattern)}):
            known = self._stamps.get(path)
            try:
                stat = Path(path).stat()
                if known is not None and known[:2] == (stat.st_mtime_ns, stat.st_size):
                    stamps[path] = known
                    continue
                stamps[path] = (stat.st_mtime_ns, stat.st_size, read_groups_file(Path(path)))
            except (OSError, ValueError, ConfigError) as error:
                problems.append(f"{path}: {error}")
                if known is not None:
                    stamps[path] = known
        self._stamps = {**{k: v for k, v in self._stamps.items() if k not in stamps and Path(k).exists()}, **stamps}
        found = tuple(group for path in sorted(stamps) for group in stamps[path][2])
        if problems:
            if not found:
                raise DiscoveryFailed("; ".join(problems))
            log.warning("a discovery file cannot be read; its last good targets stay", error="; ".join(problems))
        return found


def read_groups_file(path: Path) -> tuple[TargetGroup, ...]:
    """Groups of a file_sd file, JSON or YAML by its ending; labels as written. Raises OSError, ValueError, ConfigError."""
    value = orjson.loads(path.read_bytes()) if path.suffix == ".json" else _list_in_yaml(path)
    return groups_of(value, source=str(path), origin={"__meta_filepath": str(path)})


def _list_in_yaml(path: Path) -> Any:
    tree, problems = read_yaml(path.read_text(), str(path), as_written)
    if problems:
        raise ConfigError(problems)
    return tree.value or None  # an empty document is an empty list


def groups_of(value: Any, *, source: str, origin: Mapping[str, str]) -> tuple[TargetGroup, ...]:
    """Groups of a parsed document: a list of {targets: [...], labels: {...}}. Raises ValueError."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("expected a list of target groups")
    out = []
    for i, entry in enumerate(value):
        if not isinstance(entry, dict) or not set(entry) <= {"targets", "labels"}:
            raise ValueError(f"[{i}]: expected a mapping with `targets` and `labels`")
        targets, labels = entry.get("targets") or [], entry.get("labels") or {}
        if not isinstance(targets, list) or not all(isinstance(target, str) and target for target in targets):
            raise ValueError(f"[{i}].targets: expected a list of host:port texts")
        if not isinstance(labels, dict):
            raise ValueError(f"[{i}].labels: expected a mapping")
        named = {str(name): str(label) for name, label in labels.items()}
        out.append(TargetGroup(tuple(targets), Labels({**named, **origin}), f"{source}:{i}"))
    return tuple(out)
