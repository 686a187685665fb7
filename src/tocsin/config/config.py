"""Everything that was configured, as the stages take it, and what the dashboard adds to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tocsin.collect.target import ScrapeJob
from tocsin.config.alerting import AlertmanagerGroup
from tocsin.config.schema import Service, StatusPage, Web
from tocsin.errors import Problem
from tocsin.incidents import quiethours
from tocsin.incidents.contacts import Stored, overlay
from tocsin.incidents.drill import DrillSettings
from tocsin.incidents.handoff import HandoffSettings
from tocsin.incidents.people import Directory
from tocsin.model.check import CheckSpec
from tocsin.model.route import Routing
from tocsin.model.rule import RuleGroup
from tocsin.notify.settings import ChannelSettings
from tocsin.remote.read import RemoteSource
from tocsin.remote.write import RemoteWriteTarget
from tocsin.report.plan import Kpi, ReportPlan, Slo
from tocsin.rules.derived import check_rules
from tocsin.tsdb.settings import StoreSettings
from tocsin.web.boards.board import Dashboard


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that was configured, as the stages take it."""

    files: tuple[str, ...]
    watched: tuple[Path, ...]
    """Paths whose change means: read again."""
    text: str
    """The merged files as YAML, secrets hidden."""
    external_url: str
    external_labels: Mapping[str, str]
    severities: tuple[str, ...]
    jobs: tuple[ScrapeJob, ...]
    checks: tuple[CheckSpec, ...]
    file_rules: tuple[RuleGroup, ...]
    rule_groups: tuple[RuleGroup, ...]
    """Of files, shipped ones and those derived from checks."""
    evaluation_interval_ms: int
    routing: Routing
    directory: Directory
    channels: ChannelSettings
    services: tuple[Service, ...]
    features: tuple[str, ...]
    """PromQL features; a change counts from the next start."""
    web: Web
    status_pages: tuple[StatusPage, ...]
    dashboards: tuple[Dashboard, ...]
    """Of `dashboard_files`; those we ship are not among them."""
    store: StoreSettings
    host_every_ms: int
    """0 = this host is not watched."""
    alertmanagers: tuple[AlertmanagerGroup, ...]
    """Alerts of our own rules are sent on to these too."""
    remote_write: tuple[RemoteWriteTarget, ...]
    source: RemoteSource | None
    """Rules are evaluated there instead of on our own store."""
    dead_man_url: str
    dead_man_every_ms: int
    handoff: HandoffSettings
    drill: DrillSettings | None
    reports: tuple[ReportPlan, ...]
    keep_reports_ms: int
    """0 = for good."""
    kpis: tuple[Kpi, ...]
    slos: tuple[Slo, ...]
    egress_allow: tuple[str, ...]
    egress_deny: tuple[str, ...]
    nobody_paged: bool
    warnings: tuple[Problem, ...]
    faults: tuple[Problem, ...] = ()
    """Pages that nobody would hear, jobs that are not watched: `config check` fails, a running server says so and goes on."""

    def said(self) -> tuple[Problem, ...]:
        """What a running server says of it."""
        return (*(dataclasses.replace(fault, warning=True) for fault in self.faults), *self.warnings)


def with_checks(config: Config, declared: Iterable[CheckSpec]) -> Config:
    """The configuration plus checks added in the dashboard; one of the file wins over one of the same id."""
    own = {spec.id for spec in config.checks}
    checks = (*config.checks, *(spec for spec in declared if spec.id not in own))
    groups = (*config.file_rules, check_rules(checks))
    return dataclasses.replace(config, checks=checks, rule_groups=tuple(group for group in groups if group.rules))


def with_contacts(config: Config, stored: Iterable[Stored], quiet: Iterable[quiethours.Stored] = ()) -> Config:
    """The configuration plus contact methods that people added and verified themselves, and their own quiet hours."""
    persons = quiethours.overlay(overlay(config.directory.persons, stored), quiet)
    return dataclasses.replace(
        config,
        directory=dataclasses.replace(config.directory, persons=persons),
        channels=dataclasses.replace(config.channels, persons=persons),
    )
