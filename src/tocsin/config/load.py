"""From files to `Config`: what each stage gets, or every problem with its place.

paths ──read_sources──▶ Sources ──build──▶ Config        (build reads nothing but files that secrets name)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from tocsin.alerts.depend import find_cycle
from tocsin.config import alertmanager, prometheus
from tocsin.config.alerting import read_alerting
from tocsin.config.brand import with_logos
from tocsin.config.channels import read_channels
from tocsin.config.checks import read_checks
from tocsin.config.config import Config, with_checks
from tocsin.config.dashboards import read_dashboards
from tocsin.config.doubts import doubtful_components, doubts
from tocsin.config.fields import problems_of
from tocsin.config.merge import merge
from tocsin.config.objectives import read_objectives
from tocsin.config.people import DEFAULT_POLICY, PeopleReader
from tocsin.config.remote_write import read_remote_write
from tocsin.config.reports import read_reports
from tocsin.config.rulefiles import read_rules, rule_paths
from tocsin.config.schema import OwnSections
from tocsin.config.secrets import hide_secrets, resolve_secrets
from tocsin.config.sections import OWN_KEYS, alertmanager_part, prometheus_part, unknown_global, unknown_sections
from tocsin.config.sources import Sources, expand
from tocsin.config.upstream import remote_source, store_settings
from tocsin.errors import ConfigError, Place, Problem
from tocsin.formats.yaml_tree import Tree, parse_yaml, path_text
from tocsin.incidents.drill import DrillSettings
from tocsin.incidents.handoff import HandoffSettings
from tocsin.incidents.people import Directory
from tocsin.model.egress import parse_networks
from tocsin.model.route import Routing

T = TypeVar("T")
DEFAULT_ADDRESS = "127.0.0.1:8911"


def build(sources: Sources, *, watch: Iterable[Path] = (), address: str = DEFAULT_ADDRESS, now_ms: int = 0) -> Config:
    """`address` is where we listen: what `external_url` is when left out. Raises ConfigError with every problem found.

    `now_ms`: warn of policies and people that cannot be reached in the 30 days from then; 0 = do not look ahead.
    """
    return _Builder(sources, tuple(watch), address, now_ms).config()


class _Builder:
    def __init__(self, sources: Sources, watch: tuple[Path, ...], address: str, now_ms: int) -> None:
        self._sources = sources
        self._now_ms = now_ms
        self._address = address
        self._watch = watch
        self._problems: list[Problem] = []

    def config(self) -> Config:
        tree = self._tree()
        own = self._own(tree)
        prom = self._prometheus(tree)
        checks = self._take(read_checks(tree))
        rules = self._take(read_rules(tree, self._sources.texts, own, prom))
        self._stop_if_wrong()
        routing = self._alerting(tree, own)
        people = PeopleReader(own, tree, routing.receivers)
        directory = people.directory()
        self._problems += people.problems
        self._circles(routing, tree)
        alertmanagers = self._take(read_alerting(tree.value.get("alerting"), tree))
        remote_write = self._take(read_remote_write(tree.value.get("remote_write"), tree))
        channels = self._take(read_channels(own, directory, routing.receivers, tree, self._read_file(tree)))
        self._egress(own, tree)
        drill = self._drill(own, directory, tree)
        check_ids = {spec.id for spec in checks}
        reports = read_reports(own, tree, directory, check_ids)
        self._problems += reports.problems
        rules = (*rules, *self._take(read_objectives(own, tree)))
        self._problems += doubtful_components(own, check_ids, tree)
        status_pages, unreadable = with_logos(own.status_pages, tree)
        self._problems += unreadable
        dashboard_paths = expand(own.dashboard_files, Path(tree.file).parent)
        dashboards = self._take(read_dashboards(dashboard_paths, self._sources.texts, tree))
        self._stop_if_wrong()
        nobody = not any(receiver.destinations for receiver in routing.receivers.values()) and not directory.persons
        config = Config(
            files=self._sources.main,
            watched=(*self._watch, *(Path(name) for name in self._sources.texts), *rule_paths(tree), *dashboard_paths),
            text=yaml.safe_dump(hide_secrets(tree.value), sort_keys=False, allow_unicode=True) if tree.value else "",
            external_url=own.external_url,
            external_labels=prom.external_labels,
            severities=own.severities,
            jobs=prom.jobs,
            checks=checks,
            file_rules=rules,
            rule_groups=rules,
            evaluation_interval_ms=prom.evaluation_interval_ms,
            routing=routing,
            directory=directory,
            channels=channels,
            services=own.services,
            features=own.enable_features,
            web=own.web,
            status_pages=status_pages,
            dashboards=dashboards,
            store=store_settings(own.store, prom.max_exemplars if "exemplar-storage" in own.enable_features else 0),
            host_every_ms=own.host.every if own.host.enabled else 0,
            alertmanagers=alertmanagers,
            remote_write=remote_write,
            source=remote_source(own.source),
            dead_man_url=own.dead_man.url if own.dead_man else "",
            dead_man_every_ms=own.dead_man.every if own.dead_man else 60_000,
            handoff=HandoffSettings(own.handoff.notify, own.handoff.schedules),
            drill=drill,
            reports=reports.plans,
            keep_reports_ms=own.store.retention_reports,
            kpis=reports.kpis,
            slos=reports.slos,
            egress_allow=own.egress.allow,
            egress_deny=own.egress.deny,
            nobody_paged=nobody,
            warnings=tuple(self._problems),
        )
        warnings, faults = doubts(config, tree, self._now_ms)
        config = dataclasses.replace(config, warnings=(*config.warnings, *warnings), faults=(*prom.faults, *faults))
        return with_checks(config, ())

    # -- parts --------------------------------------------------------------------------------------------------------

    def _tree(self) -> Tree:
        trees: list[Tree] = []
        for name in self._sources.main:
            try:
                tree = parse_yaml(self._sources.texts[name], name)
            except ConfigError as error:
                self._problems += error.problems
            else:
                value, problems = resolve_secrets(tree, Path(name).parent)
                self._problems += problems
                trees.append(Tree(value, tree.places, tree.file))
        if not trees:
            self._stop_if_wrong()
            return Tree({}, {(): Place("tocsin.yaml", 1)}, "tocsin.yaml")
        merged = self._take(merge(trees))
        self._problems += unknown_sections(merged)
        self._stop_if_wrong()
        return merged

    def _own(self, tree: Tree) -> OwnSections:
        try:
            own = OwnSections.model_validate(
                {key: value for key, value in tree.value.items() if key in OWN_KEYS and value is not None}
            )
        except ValidationError as error:
            self._problems += problems_of(error, tree)
            own = OwnSections()
        if own.external_url:
            return own
        return own.model_copy(update={"external_url": f"http://{self._address}{own.web.route_prefix}"})

    def _prometheus(self, tree: Tree) -> prometheus.PrometheusPart:
        try:
            read = prometheus.read(prometheus_part(tree), tree)
        except ConfigError as error:
            self._problems += error.problems
            return prometheus.EMPTY
        self._problems += read.warnings
        return read

    def _alerting(self, tree: Tree, own: OwnSections) -> Routing:
        """Routes and receivers; without `route:` the built-in route pages the policy `default`, or the only one there is."""
        self._problems += unknown_global(tree)
        part = alertmanager_part(tree)
        file, problems = alertmanager.read_alertmanager(part, tree, route_needed=False)
        self._problems += problems
        self._stop_if_wrong()
        assert file is not None
        policies = [policy.name for policy in own.policies] or ([DEFAULT_POLICY] if own.users else [])
        routing = self._take(
            alertmanager.build_routing(
                file,
                tree,
                read_file=self._read_file(tree),
                severities=own.severities,
                policies=policies,
                original=yaml.safe_dump(hide_secrets(part), sort_keys=False, allow_unicode=True) if part else "",
                texts=self._sources.texts,
            )
        )
        receiver = routing.receivers[routing.root.receiver]
        if file.route is None and policies and not receiver.policy:
            policy = DEFAULT_POLICY if DEFAULT_POLICY in policies else policies[0]
            receivers = {**routing.receivers, receiver.name: dataclasses.replace(receiver, policy=policy)}
            routing = dataclasses.replace(routing, receivers=receivers)
        return dataclasses.replace(
            routing,
            maintenance=tuple(section.build() for section in own.maintenance),
            depends_on={service.name: service.depends_on for service in own.services if service.depends_on},
        )

    def _circles(self, routing: Routing, tree: Tree) -> None:
        if cycle := find_cycle(routing.depends_on):
            text = f"services depend on each other in a circle: {' -> '.join(cycle)}"
            self._problems.append(Problem(tree.place(("services",)), "services", text))

    def _read_file(self, tree: Tree) -> Callable[[str], str]:
        return lambda name: (Path(tree.file).parent / name).read_text().rstrip("\r\n")

    def _drill(self, own: OwnSections, directory: Directory, tree: Tree) -> DrillSettings | None:
        for i, name in enumerate(own.handoff.schedules):
            if name not in directory.schedules:
                path = ("handoff", "schedules", i)
                self._problems.append(Problem(tree.place(path), path_text(path), f"there is no schedule {name!r}"))
        if own.drill is None:
            return None
        for i, name in enumerate(own.drill.to):
            if name not in directory.persons and name not in directory.receivers:
                path = ("drill", "to", i)
                self._problems.append(Problem(tree.place(path), path_text(path), f"{name!r} is neither a user nor a receiver"))
        drill = own.drill
        return DrillSettings(drill.at, drill.time_zone, drill.channels, drill.to, drill.stale_after)

    def _egress(self, own: OwnSections, tree: Tree) -> None:
        for key, texts in (("allow", own.egress.allow), ("deny", own.egress.deny)):
            try:
                parse_networks(texts)
            except ValueError as error:
                self._problems.append(Problem(tree.place(("egress", key)), f"egress.{key}", str(error)))

    # -- problems -----------------------------------------------------------------------------------------------------

    def _take(self, read: tuple[T, list[Problem]]) -> T:
        """What was read; its problems are ours."""
        value, problems = read
        self._problems += problems
        return value

    def _stop_if_wrong(self) -> None:
        if any(not problem.warning for problem in self._problems):
            raise ConfigError(self._problems)
