"""From files to `Config`: what each stage gets, or every problem with its place.

paths ──read_sources──▶ Sources ──build──▶ Config        (build reads nothing but files that secrets name)
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import ValidationError

from tocsin.alerts.depend import find_cycle
from tocsin.collect.catalog import parse_check
from tocsin.collect.target import ScrapeJob
from tocsin.config import alertmanager, prometheus
from tocsin.config.alerting import AlertmanagerGroup, read_alerting
from tocsin.config.dashboards import read_dashboards
from tocsin.config.doubts import doubtful_components, doubts
from tocsin.config.fields import problems_of
from tocsin.config.merge import merge
from tocsin.config.people import DEFAULT_POLICY, PeopleReader
from tocsin.config.receivers import GlobalSection
from tocsin.config.remote_write import read_remote_write
from tocsin.config.reports import read_reports
from tocsin.config.schema import OwnSections, Service, StatusPage, Web
from tocsin.config.secrets import hide_secrets, resolve_secrets
from tocsin.config.sources import Sources, expand, main_files, read_text
from tocsin.config.upstream import channel_defaults, remote_source, store_settings
from tocsin.errors import ConfigError, Place, Problem
from tocsin.formats.yaml_tree import Tree, parse_yaml, path_text
from tocsin.incidents.contacts import Stored, overlay
from tocsin.incidents.drill import DrillSettings
from tocsin.incidents.handoff import HandoffSettings
from tocsin.incidents.people import Directory
from tocsin.model.check import CheckSpec
from tocsin.model.egress import parse_networks
from tocsin.model.route import Receiver, Routing
from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.notify.settings import ChannelSettings
from tocsin.remote.read import RemoteSource
from tocsin.remote.write import RemoteWriteTarget
from tocsin.report.plan import Kpi, ReportPlan, Slo
from tocsin.rules.circle import circle_problem
from tocsin.rules.derived import check_rules
from tocsin.rules.rulefile import parse_rule_file
from tocsin.rules.shipped import shipped_groups
from tocsin.tsdb.settings import StoreSettings
from tocsin.web.boards.board import Dashboard

T = TypeVar("T")
DEFAULT_ADDRESS = "127.0.0.1:8911"
_OWN_KEYS = frozenset(OwnSections.model_fields)
_ALERTMANAGER_GLOBAL = frozenset(field.alias or name for name, field in GlobalSection.model_fields.items())


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
    remote_write: tuple[RemoteWriteTarget, ...]
    """Alerts of our own rules are sent on to these too."""
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


# -- reading --


def read_sources(paths: Iterable[Path], *, optional: bool = False) -> Sources:
    """Read the configuration files and the rule files that they name. Raises ConfigError."""
    texts: dict[str, str] = {}
    main = main_files(paths, optional=optional)
    for path in main:
        texts[str(path)] = read_text(path)
        for named in _named_files(texts[str(path)], path):
            if named.exists():  # a missing one is reported with the line that names it
                texts[str(named)] = read_text(named)
        for named in _template_files(texts[str(path)], path):
            with contextlib.suppress(ConfigError):  # said with the pattern that names it; the page is sent all the same
                texts[str(named)] = read_text(named)
    return Sources(tuple(str(path) for path in main), texts)


def _named_files(text: str, path: Path) -> list[Path]:
    """Rule files and dashboards."""
    return _files_under(text, path, ("rule_files", "dashboard_files"))


def _template_files(text: str, path: Path) -> list[Path]:
    """Templates of messages."""
    return [named for named in _files_under(text, path, ("templates",)) if named.exists()]


def _files_under(text: str, path: Path, keys: tuple[str, ...]) -> list[Path]:
    try:
        value = parse_yaml(text, str(path)).value
    except ConfigError:
        return []  # reported when it is built
    lists = [value.get(key) for key in keys] if isinstance(value, dict) else []
    return expand([str(p) for patterns in lists if isinstance(patterns, list) for p in patterns], path.parent)


# -- building --


def build(sources: Sources, *, watch: Iterable[Path] = (), address: str = DEFAULT_ADDRESS, now_ms: int = 0) -> Config:
    """`address` is where we listen: what `external_url` is when left out. Raises ConfigError with every problem found.

    `now_ms`: warn of policies and people that cannot be reached in the 30 days from then; 0 = do not look ahead.
    """
    return _Builder(sources, tuple(watch), address, now_ms).config()


def with_checks(config: Config, declared: Iterable[CheckSpec]) -> Config:
    """The configuration plus checks added in the dashboard; one of the file wins over one of the same id."""
    own = {spec.id for spec in config.checks}
    checks = (*config.checks, *(spec for spec in declared if spec.id not in own))
    groups = (*config.file_rules, check_rules(checks))
    return dataclasses.replace(config, checks=checks, rule_groups=tuple(group for group in groups if group.rules))


def with_contacts(config: Config, stored: Iterable[Stored]) -> Config:
    """The configuration plus contact methods that people added and verified themselves."""
    persons = overlay(config.directory.persons, stored)
    return dataclasses.replace(
        config,
        directory=dataclasses.replace(config.directory, persons=persons),
        channels=dataclasses.replace(config.channels, persons=persons),
    )


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
        checks = self._checks(tree)
        rules = self._rules(tree, prom.evaluation_interval_ms, own)
        self._stop_if_wrong()
        routing = self._alerting(tree, own)
        people = PeopleReader(own, tree, routing.receivers)
        directory = people.directory()
        self._problems += people.problems
        routing = dataclasses.replace(
            routing,
            maintenance=tuple(section.build() for section in own.maintenance),
            depends_on={service.name: service.depends_on for service in own.services if service.depends_on},
        )
        if cycle := find_cycle(routing.depends_on):
            text = f"services depend on each other in a circle: {' -> '.join(cycle)}"
            self._problems.append(Problem(tree.place(("services",)), "services", text))
        alertmanagers, problems = read_alerting(tree.value.get("alerting"), tree)
        self._problems += problems
        remote_write, problems = read_remote_write(tree.value.get("remote_write"), tree)
        self._problems += problems
        channels = self._channels(own, directory, routing.receivers, tree)
        self._egress(own, tree)
        drill = self._drill(own, directory, tree)
        reports = read_reports(own, tree, directory, {spec.id for spec in checks})
        self._problems += reports.problems
        self._problems += doubtful_components(own, {spec.id for spec in checks}, tree)
        dashboard_paths = expand(own.dashboard_files, Path(tree.file).parent)
        dashboards, problems = read_dashboards(dashboard_paths, self._sources.texts, tree)
        self._problems += problems
        self._stop_if_wrong()
        nobody = not any(receiver.destinations for receiver in routing.receivers.values()) and not directory.persons
        config = Config(
            files=self._sources.main,
            watched=(*self._watch, *(Path(name) for name in self._sources.texts), *self._rule_paths(tree), *dashboard_paths),
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
            status_pages=own.status_pages,
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
        merged, problems = merge(trees)
        self._problems += problems
        self._unknown_keys(merged)
        self._stop_if_wrong()
        return merged

    def _unknown_keys(self, tree: Tree) -> None:
        known = {*_OWN_KEYS, "checks", *prometheus.KEYS, *alertmanager.ALERTMANAGER_KEYS}
        for key in tree.value:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self._problems.append(Problem(tree.place((key,)), key, f"unknown section {key!r}{hint}"))

    def _own(self, tree: Tree) -> OwnSections:
        try:
            own = OwnSections.model_validate(
                {key: value for key, value in tree.value.items() if key in _OWN_KEYS and value is not None}
            )
        except ValidationError as error:
            self._problems += problems_of(error, tree)
            own = OwnSections()
        if own.external_url:
            return own
        return own.model_copy(update={"external_url": f"http://{self._address}{own.web.route_prefix}"})

    def _part(self, tree: Tree, keys: Iterable[str], global_keys: Iterable[str]) -> dict[str, Any]:
        """The sections of one upstream tool; `global` is shared by both, each takes the keys it knows."""
        part = {key: tree.value[key] for key in keys if tree.value.get(key) is not None and key != "global"}
        shared = tree.value.get("global")
        if isinstance(shared, dict):
            part["global"] = {key: value for key, value in shared.items() if key in set(global_keys)}
        return part

    def _prometheus(self, tree: Tree) -> prometheus.PrometheusPart:
        part = self._part(tree, prometheus.KEYS, prometheus.GLOBAL_KEYS)
        read = self._section(lambda: prometheus.read(part, tree), prometheus.EMPTY)
        self._problems += read.warnings
        return read

    def _alerting(self, tree: Tree, own: OwnSections) -> Routing:
        """Routes and receivers; without `route:` the built-in route pages the policy `default`, or the only one there is."""
        self._unknown_global(tree)
        part = self._part(tree, alertmanager.ALERTMANAGER_KEYS, _ALERTMANAGER_GLOBAL)
        file, problems = alertmanager.read_alertmanager(part, tree, route_needed=False)
        self._problems += problems
        self._stop_if_wrong()
        assert file is not None
        policies = [policy.name for policy in own.policies] or ([DEFAULT_POLICY] if own.users else [])
        routing, problems = alertmanager.build_routing(
            file,
            tree,
            read_file=lambda name: (Path(tree.file).parent / name).read_text().rstrip("\r\n"),
            severities=own.severities,
            policies=policies,
            original=yaml.safe_dump(hide_secrets(part), sort_keys=False, allow_unicode=True) if part else "",
            texts=self._sources.texts,
        )
        self._problems += problems
        if file.route is None and policies:
            receiver = routing.receivers[routing.root.receiver]
            if not receiver.policy:
                policy = DEFAULT_POLICY if DEFAULT_POLICY in policies else policies[0]
                receivers = {**routing.receivers, receiver.name: dataclasses.replace(receiver, policy=policy)}
                routing = dataclasses.replace(routing, receivers=receivers)
        return routing

    def _unknown_global(self, tree: Tree) -> None:
        shared = tree.value.get("global")
        if not isinstance(shared, dict):
            return
        known = {*prometheus.GLOBAL_KEYS, *_ALERTMANAGER_GLOBAL}
        for key in shared:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self._problems.append(Problem(tree.place(("global", key)), f"global.{key}", f"unknown key {key!r}{hint}"))

    def _checks(self, tree: Tree) -> tuple[CheckSpec, ...]:
        raw_checks = tree.value.get("checks") or []
        if not isinstance(raw_checks, list):
            self._problems.append(Problem(tree.place(("checks",)), "checks", "expected a list of checks"))
            return ()
        specs: dict[str, CheckSpec] = {}
        for i, raw in enumerate(raw_checks):
            path = ("checks", i)
            if not isinstance(raw, dict):
                self._problems.append(
                    Problem(tree.place(path), path_text(path), "expected a mapping with `name` and a check type")
                )
                continue
            try:
                spec = parse_check(raw, source=str(tree.place(path)))
            except ValidationError as error:
                self._problems += problems_of(error, tree, path)
                continue
            if spec.id in specs:
                text = f"another check is called {specs[spec.id].name!r} too (at {specs[spec.id].source}); names must differ"
                self._problems.append(Problem(tree.place((*path, "name")), path_text((*path, "name")), text))
            specs[spec.id] = spec
        return tuple(specs.values())

    def _rule_paths(self, tree: Tree) -> list[Path]:
        base = Path(tree.file).parent
        return expand([str(p) for p in tree.value.get("rule_files") or []], base)

    def _rules(self, tree: Tree, interval_ms: int, own: OwnSections) -> tuple[RuleGroup, ...]:
        groups: list[RuleGroup] = []
        semantics = Semantics(own.semantics)
        for path in self._rule_paths(tree):
            text = self._sources.texts.get(str(path))
            if text is None:
                where = next((i for i, p in enumerate(tree.value["rule_files"]) if str(path).endswith(str(p))), 0)
                place = tree.place(("rule_files", where))
                self._problems.append(Problem(place, f"rule_files[{where}]", f"there is no file {path}"))
                continue
            found, problems = parse_rule_file(text, str(path), default_interval_ms=interval_ms)
            groups += (_with_semantics(group, semantics) for group in found)
            self._problems += problems
        if own.shipped_rules:
            groups += shipped_groups(default_interval_ms=interval_ms)
        problem = circle_problem(groups)  # within one file it was found already
        if problem is not None and problem not in self._problems:
            self._problems.append(problem)
        return tuple(groups)

    def _channels(
        self,
        own: OwnSections,
        directory: Directory,
        receivers: Mapping[str, Receiver],
        tree: Tree,
    ) -> ChannelSettings:
        host = urlsplit(own.external_url).hostname or "tocsin.invalid"
        channels = ChannelSettings(
            defaults=channel_defaults(tree.value.get("global"), own.channels),
            persons=directory.persons,
            receivers=receivers,
            external_url=own.external_url,
            host=host,
        )
        for ref, message in channels.problems():
            place, path = self._place_of(ref, own, tree)
            self._problems.append(Problem(place, path, message))
        for name in channels.best_effort_only():
            place, path = self._place_of(f"user:{name}/", own, tree)
            text = f"nothing tells whether a page reached {name}: add a contact besides the best-effort ones (apprise)"
            self._problems.append(Problem(place, path, text, warning=True))
        return channels

    def _place_of(self, ref: str, own: OwnSections, tree: Tree) -> tuple[Place, str]:
        kind, _, rest = ref.partition(":")
        name = rest.split("/")[0]
        key = "users" if kind == "user" else "receivers"
        for i, raw in enumerate(tree.value.get(key) or []):
            if isinstance(raw, dict) and raw.get("name") == name:
                return tree.place((key, i)), f"{key}[{i}] ({rest})"
        return tree.place((key,)), ref

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

    def _section(self, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except ConfigError as error:
            self._problems += error.problems
            return default

    def _stop_if_wrong(self) -> None:
        if any(not problem.warning for problem in self._problems):
            raise ConfigError(self._problems)


def _with_semantics(group: RuleGroup, semantics: Semantics) -> RuleGroup:
    """Imported rules evaluated as the operator wants them; those with a `tocsin` annotation stay native."""
    if semantics is Semantics.COMPATIBLE:
        return group
    rules = tuple(
        dataclasses.replace(rule, semantics=semantics)
        if isinstance(rule, AlertRule) and rule.semantics is Semantics.COMPATIBLE
        else rule
        for rule in group.rules
    )
    return dataclasses.replace(group, rules=rules)
