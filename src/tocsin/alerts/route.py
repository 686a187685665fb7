"""The routing tree: which routes an alert takes, and what routes and groups are called. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tocsin.formats.matchers import format_matchers, parse_matchers
from tocsin.model.alert import NO_SEVERITY, Alert
from tocsin.model.labels import all_match
from tocsin.model.route import InhibitRule, Receiver, Route, Routing

DEFAULT_RECEIVER = "default"
DEFAULT_GROUP_BY = ("alertname", "service", "check", "job")
DEFAULT_INHIBITIONS = (
    InhibitRule(
        parse_matchers('severity="critical",signal!=""'),
        parse_matchers('severity="warning"'),
        ("service", "instance", "check", "signal"),
        "a critical alert says more than the warning about the same thing",
    ),
    InhibitRule(
        parse_matchers('alertname=~"ProbeDown|HttpNoSuccess",service!=""'),
        parse_matchers('signal=~"latency|errors|client_errors",severity!="critical"'),
        ("service",),
        "a service that is down explains its slowness and its errors",
    ),
    InhibitRule(
        parse_matchers('alertname="ErrorBudgetBurn",window="1h"'),
        parse_matchers('alertname="ErrorBudgetBurn",window!="1h"'),
        ("slo",),
        "a budget that burns quickly burns slowly too",
    ),
    InhibitRule(
        parse_matchers('alertname="ErrorBudgetBurn",window="6h"'),
        parse_matchers('alertname="ErrorBudgetBurn",window="3d"'),
        ("slo",),
        "a budget that is gone in days is gone in a month",
    ),
    InhibitRule(
        parse_matchers('alertname=~"CheckDown|DatabaseDown",severity="critical",check!=""'),
        parse_matchers('alertname="ErrorBudgetBurn"'),
        ("check",),
        "a check that is down burns the budget of its uptime",
    ),
)
"""What holds beside the built-in route: for the shipped rules' label `signal` and for objectives; others are left alone."""


def match(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """The routes an alert takes, in order: depth first, up to the first matching child without `continue`.

    A node whose children all refuse the alert takes it itself; empty when `route` does not match.
    """
    if not all_match(route.matchers, labels):
        return []
    taken: list[Route] = []
    for child in route.routes:
        below = match(child, labels)
        taken += below
        if below and not child.continue_:
            break
    return taken or [route]


@dataclass(frozen=True, slots=True)
class Node:
    """A route with its key: the matchers from the root down, `{}/{team="a"}`; the first half of a group key."""

    route: Route
    key: str
    parents: tuple[Route, ...] = ()


def walk(route: Route, *, above: tuple[Route, ...] = (), key: str = "") -> Iterator[Node]:
    """Every node, depth first, parents before children."""
    key = f"{key}/{format_matchers(route.matchers)}" if above else format_matchers(route.matchers)
    yield Node(route, key, above)
    for child in route.routes:
        yield from walk(child, above=(*above, route), key=key)


def with_ids(route: Route, *, prefix: str = "", index: int | None = None) -> Route:
    """The tree with every `id` set as Alertmanager names routes: `{}/{team="a"}/0` (the number is the place among siblings)."""
    name = format_matchers(route.matchers)
    own = name if index is None else f"{prefix}/{name}/{index}"
    children = tuple(with_ids(child, prefix=own, index=i) for i, child in enumerate(route.routes))
    return replace(route, id=own, routes=children)


class RouteTree:
    """A routing tree with its nodes by id."""

    def __init__(self, root: Route) -> None:
        self.root = root
        self.nodes = {node.route.id: node for node in walk(root)}

    def match(self, labels: Mapping[str, str]) -> list[Node]:
        return [self.nodes[route.id] for route in match(self.root, labels)]

    def hearers(self, alert: Alert) -> list[Node]:
        """Whose routes tell of it. An alert of our own rules with severity `none` (the Watchdog) is for routes that ask for it:
        where only the root takes it, nobody is told."""
        nodes = self.match(alert.labels)
        asked_for = any(node.route is not self.root for node in nodes)
        silent = not asked_for and alert.labels.get("severity") == NO_SEVERITY and alert.source.startswith("rule:")
        return [] if silent else nodes

    def __contains__(self, route_id: str) -> bool:
        return route_id in self.nodes


def default_routing(receiver: Receiver | None = None) -> Routing:
    """What holds when nobody configured routes: one route to one receiver, criticals at once, the rest after 30 s."""
    receiver = receiver or Receiver(DEFAULT_RECEIVER)
    root = Route(id="", receiver=receiver.name, group_by=DEFAULT_GROUP_BY, critical_group_wait_ms=0)
    return Routing(root=with_ids(root), receivers={receiver.name: receiver}, inhibit_rules=DEFAULT_INHIBITIONS)
