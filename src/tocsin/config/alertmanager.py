"""alertmanager.yml: read strictly as Alertmanager 0.33 and 0.34 read it, then turned into `model.route.Routing`.

Two steps: `read_alertmanager` gives amtool's verdict on the text; `build_routing` adds ours, that every receiver can be
delivered. Tocsin's own word in a receiver is `policy: NAME` (an escalation policy). The same sections may stand in tocsin.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from tocsin.alerts.route import DEFAULT_RECEIVER, default_routing, with_ids
from tocsin.config.destinations import destinations_of
from tocsin.config.fields import DurationMs, Section, Text, problems_of
from tocsin.config.intervals import NamedIntervals
from tocsin.config.receivers import GlobalSection, ReadFile, ReceiverSection, check_http, check_receiver
from tocsin.config.receivertexts import library_of
from tocsin.errors import Problem
from tocsin.formats.matchers import make_matcher, parse_matchers, sort_matchers
from tocsin.formats.yaml_tree import Tree, path_text
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.route import InhibitRule, Receiver, Route, Routing

ALERTMANAGER_KEYS = frozenset(
    {"global", "route", "inhibit_rules", "receivers", "templates", "mute_time_intervals", "time_intervals"}
    | {"tracing", "event_recorder"}
)
"""Top-level keys of alertmanager.yml; `global` may also hold Prometheus's keys when the file is tocsin.yaml."""
GLOBAL_KEYS = frozenset(GlobalSection.model_fields)
_CLASSIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def _matchers(value: Any) -> tuple[Matcher, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError("expected a list of matchers such as ['severity=\"critical\"']")
    return tuple(matcher for line in value for matcher in parse_matchers(line))


def _pairs(value: Any, op: MatchOp) -> tuple[Matcher, ...]:
    if not isinstance(value, Mapping):
        raise ValueError("expected label: value pairs")
    out = []
    for name, text in value.items():
        if not _CLASSIC_NAME.fullmatch(str(name)):
            raise ValueError(f"invalid label name {str(name)!r}")
        if text is None and op is MatchOp.REGEX:
            raise ValueError(f"the regular expression of {name} is empty")
        out.append(make_matcher(str(name), op, "" if text is None else str(text)))
    return tuple(out)


def _equal_pairs(value: Any) -> tuple[Matcher, ...]:
    return _pairs(value, MatchOp.EQUAL)


def _regex_pairs(value: Any) -> tuple[Matcher, ...]:
    return _pairs(value, MatchOp.REGEX)


Matchers = Annotated[tuple[Matcher, ...], BeforeValidator(_matchers)]
EqualPairs = Annotated[tuple[Matcher, ...], BeforeValidator(_equal_pairs)]
RegexPairs = Annotated[tuple[Matcher, ...], BeforeValidator(_regex_pairs)]


class RouteSection(Section):
    receiver: str = ""
    group_by: tuple[Text, ...] | None = None
    match: EqualPairs = ()
    match_re: RegexPairs = ()
    matchers: Matchers = ()
    labels: dict[str, Text] = Field(default_factory=dict)
    continue_: bool = Field(default=False, alias="continue")
    routes: tuple[RouteSection, ...] = ()
    group_wait: DurationMs | None = None
    group_interval: DurationMs | None = None
    repeat_interval: DurationMs | None = None
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()

    @field_validator("group_by")
    @classmethod
    def _group_by(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        names = [name for name in value or () if name != "..."]
        if any(not name for name in names):
            raise ValueError("a label name in group_by is empty")
        if len(set(names)) != len(names):
            raise ValueError("a label stands twice in group_by")
        if names and "..." in (value or ()):
            raise ValueError("'...' means all labels; no others may stand beside it")
        return value

    @field_validator("group_interval", "repeat_interval")
    @classmethod
    def _positive(cls, value: int | None) -> int | None:
        if value == 0:
            raise ValueError("must be longer than zero")
        return value

    @property
    def own_matchers(self) -> tuple[Matcher, ...]:
        return (*self.match, *self.match_re, *self.matchers)


class InhibitSection(Section):
    name: str = ""
    source_match: EqualPairs = ()
    source_match_re: RegexPairs = ()
    source_matchers: Matchers = ()
    target_match: EqualPairs = ()
    target_match_re: RegexPairs = ()
    target_matchers: Matchers = ()
    equal: tuple[Text, ...] = ()

    @field_validator("equal")
    @classmethod
    def _equal(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not name for name in value):
            raise ValueError("a label name in equal is empty")
        return value

    def build(self) -> InhibitRule:
        source = (*self.source_match, *self.source_match_re, *self.source_matchers)
        target = (*self.target_match, *self.target_match_re, *self.target_matchers)
        return InhibitRule(source, target, self.equal, self.name)


class AlertmanagerFile(Section):
    """The whole of alertmanager.yml, checked as Alertmanager checks it."""

    global_: GlobalSection = Field(default_factory=GlobalSection, alias="global")
    route: RouteSection | None = None
    inhibit_rules: tuple[InhibitSection, ...] = ()
    receivers: tuple[ReceiverSection, ...] = ()
    templates: tuple[str, ...] = ()
    mute_time_intervals: tuple[NamedIntervals, ...] = ()
    time_intervals: tuple[NamedIntervals, ...] = ()
    tracing: dict[str, Any] | None = None
    event_recorder: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _At:
    """Collects problems with their places."""

    tree: Tree
    problems: list[Problem]

    def complain(self, path: tuple[str | int, ...], message: str, *, warning: bool = False) -> None:
        self.problems.append(Problem(self.tree.place(path), path_text(path), message, warning=warning))


def read_alertmanager(
    raw: Mapping[str, Any], tree: Tree, *, route_needed: bool = True
) -> tuple[AlertmanagerFile | None, list[Problem]]:
    """The file's sections, and everything amtool would refuse. `raw` is `tree.value` with its secrets resolved.

    `route_needed=False`: sections of tocsin.yaml, where leaving `route` out means the built-in routing.
    """
    try:
        config = AlertmanagerFile.model_validate(_without_null(raw))
    except ValidationError as error:
        return None, problems_of(error, tree)
    at = _At(tree, [])
    _check_names(config, at)
    if config.global_.http_config is not None:
        for path, message in check_http(config.global_.http_config):
            at.complain(("global", *path), message)
    for index, receiver in enumerate(config.receivers):
        for path, message in check_receiver(receiver, config.global_):
            at.complain(("receivers", index, *path), message)
    if config.route is not None:
        _check_routes(config, config.route, at)
    elif route_needed:
        at.complain((), "no routes provided: the key 'route' is missing")
    return config, at.problems


def _without_null(value: Any, *, keep: bool = False) -> Any:
    """A key without a value counts as absent, except among label pairs, where an empty expression is a mistake."""
    if isinstance(value, Mapping):
        return {k: _without_null(v, keep=str(k).endswith("match_re")) for k, v in value.items() if keep or v is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value


def _check_names(config: AlertmanagerFile, at: _At) -> None:
    seen: set[str] = set()
    for index, receiver in enumerate(config.receivers):
        if receiver.name in seen:
            at.complain(("receivers", index, "name"), f"there is another receiver named {receiver.name!r}")
        seen.add(receiver.name)
    intervals: set[str] = set()
    for key in ("mute_time_intervals", "time_intervals"):
        for index, interval in enumerate(getattr(config, key)):
            if interval.name in intervals:
                at.complain((key, index, "name"), f"there is another time interval named {interval.name!r}")
            intervals.add(interval.name)


def _check_routes(config: AlertmanagerFile, root: RouteSection, at: _At) -> None:
    if not root.receiver:
        at.complain(("route",), "the root route must name a receiver, for alerts that no other route takes")
    if root.own_matchers:
        at.complain(("route",), "the root route takes every alert: it must not have matchers")
    for key in ("mute_time_intervals", "active_time_intervals"):
        if getattr(root, key):
            at.complain(("route", key), "the root route must not be quiet at times; give a child route the time intervals")
    receivers = {receiver.name for receiver in config.receivers}
    intervals = {interval.name for interval in (*config.mute_time_intervals, *config.time_intervals)}
    for path, route in _walk(root, ("route",)):
        if route.receiver and route.receiver not in receivers:
            at.complain((*path, "receiver"), f"there is no receiver named {route.receiver!r}")
        for key in ("mute_time_intervals", "active_time_intervals"):
            for name in getattr(route, key):
                if name not in intervals:
                    at.complain((*path, key), f"there is no time interval named {name!r}")


def _walk(route: RouteSection, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], RouteSection]]:
    yield path, route
    for index, child in enumerate(route.routes):
        yield from _walk(child, (*path, "routes", index))


def build_routing(
    config: AlertmanagerFile,
    tree: Tree,
    *,
    read_file: ReadFile,
    severities: tuple[str, ...] = ("info", "warning", "critical"),
    policies: Collection[str] = (),
    original: str = "",
    texts: Mapping[str, str] | None = None,
) -> tuple[Routing, list[Problem]]:
    """The dispatcher's values, and every receiver that could not be delivered.

    `read_file` gives the text of a `*_file` setting (raises OSError); `policies` are the names of the escalation policies.
    `texts` are the files that were read already.
    Without a `route` the built-in one leads to the receiver `default`, or to the only receiver there is.
    """
    at = _At(tree, [])
    receivers: dict[str, Receiver] = {}
    base = Path(tree.file).parent
    library, doubts = library_of(config.templates, base, texts or {})
    for where, message, warning in doubts:
        at.complain(where, message, warning=warning)
    for index, section in enumerate(config.receivers):
        place = tree.place(("receivers", index))
        destinations, wrong = destinations_of(section, config.global_, read_file, library, base=base)
        for path, message, warning in wrong:
            at.complain(("receivers", index, *path), message, warning=warning)
        if section.policy and section.policy not in policies:
            at.complain(("receivers", index, "policy"), f"there is no policy named {section.policy!r}")
        receivers[section.name] = Receiver(section.name, destinations, section.policy, place, section.labels)
    inhibit_rules = tuple(rule.build() for rule in config.inhibit_rules)
    if config.route is None:
        names = list(receivers)
        chosen = receivers.get(DEFAULT_RECEIVER) or (receivers[names[0]] if len(names) == 1 else None)
        builtin = default_routing(chosen)
        root = builtin.root
        inhibit_rules = inhibit_rules or builtin.inhibit_rules
        receivers = {**builtin.receivers, **receivers}
    else:
        root = with_ids(_route(config.route, Route(id="", receiver=config.route.receiver)))
    intervals = {i.name: i.build() for i in (*config.mute_time_intervals, *config.time_intervals)}
    return (
        Routing(
            root=root,
            receivers=receivers,
            inhibit_rules=inhibit_rules,
            time_intervals=intervals,
            resolve_timeout_ms=config.global_.resolve_timeout,
            severities=severities,
            original=original,
        ),
        at.problems,
    )


def _route(section: RouteSection, parent: Route) -> Route:
    """The node with what it inherits; time intervals and `continue` are never inherited."""
    group_by = parent.group_by
    if section.group_by is not None:
        group_by = None if "..." in section.group_by else section.group_by
    labels = {**parent.labels, **section.labels}

    def inherited(own: int | None, above: int) -> int:
        return above if own is None else own

    node = Route(
        id="",
        receiver=section.receiver or parent.receiver,
        matchers=sort_matchers(section.own_matchers),
        group_by=group_by,
        group_wait_ms=inherited(section.group_wait, parent.group_wait_ms),
        group_interval_ms=inherited(section.group_interval, parent.group_interval_ms),
        repeat_interval_ms=inherited(section.repeat_interval, parent.repeat_interval_ms),
        continue_=section.continue_,
        mute_time_intervals=section.mute_time_intervals,
        active_time_intervals=section.active_time_intervals,
        labels=labels,
    )
    return _with_children(node, section)


def _with_children(node: Route, section: RouteSection) -> Route:
    return replace(node, routes=tuple(_route(child, node) for child in section.routes))
