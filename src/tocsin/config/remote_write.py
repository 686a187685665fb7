"""`remote_write` of prometheus.yml: where samples are sent on to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from tocsin.collect.relabel import RelabelRule, relabel
from tocsin.config.fields import DurationMs, Section, Text, problems_of
from tocsin.config.httpclient import HttpClientSection, build_http_client
from tocsin.config.prometheus_scrape import RelabelConfig
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path as TreePath
from tocsin.formats.yaml_tree import Tree, path_text
from tocsin.model.labels import METRIC_NAME
from tocsin.remote.write import RemoteWriteTarget

_MOST_SHARDS = 8
"""More requests at a time bring nothing to one Python process."""


class QueueConfig(Section):
    capacity: int = Field(default=10_000, ge=1)
    """Accepted for Prometheus's sake: what waits here stands in the log, not in memory."""
    max_shards: int = Field(default=50, ge=1)
    min_shards: int = Field(default=1, ge=1)
    max_samples_per_send: int = Field(default=2000, ge=1)
    batch_send_deadline: DurationMs = 5000
    min_backoff: DurationMs = 30
    max_backoff: DurationMs = 5000
    retry_on_http_429: bool = True
    sample_age_limit: DurationMs = 0


class MetadataConfig(Section):
    send: bool = True
    send_interval: DurationMs = 60_000
    max_samples_per_send: int = Field(default=2000, ge=1)


class RemoteWriteSection(HttpClientSection):
    url: Text
    name: str = ""
    remote_timeout: DurationMs = 30_000
    headers: dict[str, Text] = Field(default_factory=dict)
    protobuf_message: Literal["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] = "prometheus.WriteRequest"
    write_relabel_configs: tuple[RelabelConfig, ...] = ()
    send_exemplars: bool = False
    send_native_histograms: bool = False
    round_robin_dns: bool = False
    queue_config: QueueConfig = QueueConfig()
    metadata_config: MetadataConfig = MetadataConfig()

    @field_validator("url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("expected a URL such as https://metrics.example/api/v1/write")
        return value

    @field_validator("headers")
    @classmethod
    def _own_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name.lower() in _RESERVED:
                raise ValueError(f"{name} is set by Tocsin; use basic_auth, authorization or oauth2 for credentials")
        return value

    def build(self, index: int, base: Path) -> RemoteWriteTarget:
        rules = tuple(entry.rule() for entry in self.write_relabel_configs)
        queue, metadata = self.queue_config, self.metadata_config
        return RemoteWriteTarget(
            name=self.name or f"{index}",
            url=self.url,
            http=build_http_client(self, base, os.environ),
            headers=self.headers,
            timeout_s=self.remote_timeout / 1000,
            message=self.protobuf_message,
            rewrite=_rewriter(rules) if rules else None,
            rules=rules,
            max_samples=queue.max_samples_per_send,
            max_shards=min(queue.max_shards, _MOST_SHARDS),
            min_backoff_ms=queue.min_backoff,
            max_backoff_ms=queue.max_backoff,
            oldest_ms=queue.sample_age_limit,
            metadata_every_ms=metadata.send_interval if metadata.send else 0,
        )

    def doubts(self) -> list[tuple[str, str]]:
        """Keys that are accepted and change nothing."""
        found = []
        if self.send_exemplars:
            found.append(("send_exemplars", "has no effect: exemplars are not sent on"))
        if self.send_native_histograms:
            found.append(("send_native_histograms", "has no effect: native histograms are not stored"))
        return found


_RESERVED = {
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection",
    "x-prometheus-remote-write-version",
}  # fmt: skip


def _rewriter(rules: tuple[RelabelRule, ...]) -> Callable[[Mapping[str, str]], dict[str, str] | None]:
    def rewrite(labels: Mapping[str, str]) -> dict[str, str] | None:
        changed = relabel(dict(labels), rules)
        return changed if changed and changed.get(METRIC_NAME) else None

    return rewrite


def read_remote_write(raw: Any, tree: Tree) -> tuple[tuple[RemoteWriteTarget, ...], list[Problem]]:
    """The targets, and what is wrong or without effect."""
    if raw is None:
        return (), []
    if not isinstance(raw, list):
        return (), [Problem(tree.place(("remote_write",)), "remote_write", "expected a list of targets, each with a `url`")]
    targets: list[RemoteWriteTarget] = []
    problems: list[Problem] = []
    for index, entry in enumerate(raw):
        path: TreePath = ("remote_write", index)
        place = tree.place(path)
        try:
            section = RemoteWriteSection.model_validate(entry)
            target = section.build(index, Path(place.file).parent)
        except ValidationError as error:
            problems += problems_of(error, tree, path)
            continue
        except ValueError as error:
            problems.append(Problem(place, path_text(path), str(error)))
            continue
        if any(other.name == target.name for other in targets):
            problems.append(
                Problem(place, path_text((*path, "name")), f"another target is named {target.name!r} too; names must differ")
            )
        targets.append(target)
        problems += [Problem(place, path_text((*path, key)), text, warning=True) for key, text in section.doubts()]
    return tuple(targets), problems
