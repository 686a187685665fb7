"""`alerting` of prometheus.yml: the Alertmanagers that our alerts are sent on to, and how alerts are rewritten before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from tocsin.collect.relabel import RelabelRule
from tocsin.collect.target import DnsDiscovery, FileDiscovery, HttpDiscovery, ScrapeJob, TargetGroup
from tocsin.config.fields import DurationMs, Section, problems_of
from tocsin.config.httpclient import HttpClientSection, build_http_client, cannot_be_done
from tocsin.config.prometheus_scrape import (
    DnsSd,
    DockerSd,
    FileSd,
    HttpSd,
    KubernetesSd,
    RelabelConfig,
    StaticConfig,
    check_addresses,
    way_out,
    without_unsupported,
)
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path as TreePath
from tocsin.formats.yaml_tree import Tree, path_text
from tocsin.model.httpclient import HttpClient
from tocsin.model.labels import Labels


@dataclass(frozen=True, slots=True)
class AlertmanagerGroup:
    """One entry of `alertmanagers`. `job` says where its members come from and how they are relabelled, as for scraping."""

    job: ScrapeJob
    path: str = "/api/v2/alerts"
    timeout_s: float = 10.0
    http: HttpClient = field(default_factory=HttpClient)
    alert_relabel: tuple[RelabelRule, ...] = ()
    """What is done to the alerts for this group: `alert_relabel_configs` of the whole and then its own."""


class AlertmanagerSection(HttpClientSection):
    scheme: Literal["http", "https"] = "http"
    path_prefix: str = ""
    timeout: DurationMs = 10_000
    api_version: Literal["v2"] = "v2"
    static_configs: tuple[StaticConfig, ...] = ()
    file_sd_configs: tuple[FileSd, ...] = ()
    http_sd_configs: tuple[HttpSd, ...] = ()
    dns_sd_configs: tuple[DnsSd, ...] = ()
    docker_sd_configs: tuple[DockerSd, ...] = ()
    kubernetes_sd_configs: tuple[KubernetesSd, ...] = ()
    relabel_configs: tuple[RelabelConfig, ...] = ()
    alert_relabel_configs: tuple[RelabelConfig, ...] = ()

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        if not self.relabel_configs:
            check_addresses(self.static_configs)
        return self

    def build(self, index: int, base: Path, before: tuple[RelabelRule, ...]) -> AlertmanagerGroup:
        name = f"alertmanagers/{index}"
        prefix = self.path_prefix.strip("/")
        job = ScrapeJob(
            name=name,
            static=tuple(TargetGroup(g.targets, Labels(g.labels), f"{name}/{i}") for i, g in enumerate(self.static_configs)),
            discovery=(
                *(FileDiscovery(tuple(str(base / f) for f in sd.files), sd.refresh_interval) for sd in self.file_sd_configs),
                *(HttpDiscovery(sd.url, sd.refresh_interval, sd.http(base)) for sd in self.http_sd_configs),
                *(DnsDiscovery(sd.names, sd.type, sd.port, sd.refresh_interval) for sd in self.dns_sd_configs),
                *(sd.discovery(base) for sd in self.docker_sd_configs),
                *(sd.discovery(base) for sd in self.kubernetes_sd_configs),
            ),
            scheme=self.scheme,
            relabel=tuple(entry.rule() for entry in self.relabel_configs),
        )
        return AlertmanagerGroup(
            job=job,
            path=f"/{prefix}/api/v2/alerts" if prefix else "/api/v2/alerts",
            timeout_s=self.timeout / 1000,
            http=build_http_client(self, base, os.environ),
            alert_relabel=(*before, *(entry.rule() for entry in self.alert_relabel_configs)),
        )


class AlertingSection(Section):
    alertmanagers: tuple[AlertmanagerSection, ...] = ()
    alert_relabel_configs: tuple[RelabelConfig, ...] = ()


def read_alerting(raw: Mapping[str, Any] | None, tree: Tree) -> tuple[tuple[AlertmanagerGroup, ...], list[Problem]]:
    """The Alertmanagers of the section `alerting`, and what is wrong with it (then there are none)."""
    given, problems = _asked(_given(raw or {}), tree)
    try:
        section = AlertingSection.model_validate(given)
    except ValidationError as error:
        return (), problems_of(error, tree, ("alerting",))
    before = tuple(entry.rule() for entry in section.alert_relabel_configs)
    groups: list[AlertmanagerGroup] = []
    for index, entry in enumerate(section.alertmanagers):
        path: TreePath = ("alerting", "alertmanagers", index)
        place = tree.place(path)
        try:
            built = entry.build(index, Path(place.file).parent, before)
        except ValueError as error:
            problems.append(Problem(place, path_text(path), str(error)))
            continue
        groups.append(built)
        for below, text in cannot_be_done(built.http):
            problems.append(Problem(tree.place((*path, *below)), path_text((*path, *below)), text))
    return tuple(groups), problems


def _asked(raw: Any, tree: Tree) -> tuple[Any, list[Problem]]:
    """The section without discoveries that Tocsin does not ask, and a warning of each."""
    entries = raw.get("alertmanagers") if isinstance(raw, Mapping) else None
    if not isinstance(entries, list):
        return raw, []
    known = [without_unsupported(entry) for entry in entries]
    problems = []
    for index, (_, unsupported) in enumerate(known):
        for key in unsupported:
            path: TreePath = ("alerting", "alertmanagers", index, key)
            text = f"these Alertmanagers are told nothing: {way_out(key)}"
            problems.append(Problem(tree.place(path), path_text(path), text, warning=True))
    return {**raw, "alertmanagers": [entry for entry, _ in known]}, problems


def _given(value: Any) -> Any:
    """A key without a value is not set."""
    if isinstance(value, Mapping):
        return {key: _given(item) for key, item in value.items() if item is not None}
    return [_given(item) for item in value] if isinstance(value, list) else value
