"""Where would an alert with these labels go? For `tocsin route test` and the dashboard. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.alerts.group import group_key, group_labels
from tocsin.alerts.route import Node, RouteTree
from tocsin.alerts.timeinterval import muted_by
from tocsin.formats.matchers import format_matcher
from tocsin.model.duration import format_duration
from tocsin.model.labels import Labels, all_match
from tocsin.model.route import Route, Routing


@dataclass(frozen=True, slots=True)
class Step:
    """One route that was looked at on the way: `taken`, or the first matcher that refused the labels."""

    depth: int
    route_id: str
    receiver: str
    matchers: str
    taken: bool
    refused_by: str = ""


@dataclass(frozen=True, slots=True)
class Destined:
    """One receiver that would hear, and how its group is told."""

    receiver: str
    route_id: str
    group_key: str
    group_labels: Labels
    group_wait_ms: int
    group_interval_ms: int
    repeat_interval_ms: int
    muted_by: tuple[str, ...]
    tells_nobody: bool = False

    def sentence(self) -> str:
        if self.tells_nobody:
            return f"{self.receiver}, which has neither people nor destinations: nobody is told"
        quiet = f"; quiet now because of {', '.join(self.muted_by)}" if self.muted_by else ""
        return (
            f"{self.receiver}: first after {format_duration(self.group_wait_ms)}, news every "
            f"{format_duration(self.group_interval_ms)}, again every {format_duration(self.repeat_interval_ms)}{quiet}"
        )


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    destined: tuple[Destined, ...]
    steps: tuple[Step, ...]

    @property
    def receivers(self) -> tuple[str, ...]:
        return tuple(one.receiver for one in self.destined)


def explain_route(routing: Routing, labels: Mapping[str, str], *, now_ms: int) -> RouteAnswer:
    """The receivers in order, as `amtool config routes test` names them, and every route looked at on the way."""
    own = Labels(labels)
    destined = tuple(_destined(node, own, routing, now_ms) for node in RouteTree(routing.root).match(own))
    steps: list[Step] = []
    _look(routing.root, own, 0, steps)
    return RouteAnswer(destined, tuple(steps))


def _destined(node: Node, labels: Labels, routing: Routing, now_ms: int) -> Destined:
    route = node.route
    grouped = group_labels(route, labels)
    severest = bool(routing.severities) and labels.get("severity") == routing.severities[-1]
    wait_ms = route.critical_group_wait_ms if severest and route.critical_group_wait_ms is not None else route.group_wait_ms
    receiver = routing.receivers.get(route.receiver)
    quiet = muted_by(route.mute_time_intervals, route.active_time_intervals, routing.time_intervals, now_ms)
    return Destined(
        receiver=route.receiver,
        route_id=route.id,
        group_key=group_key(node, grouped),
        group_labels=grouped,
        group_wait_ms=wait_ms,
        group_interval_ms=route.group_interval_ms,
        repeat_interval_ms=route.repeat_interval_ms,
        muted_by=quiet,
        tells_nobody=receiver is not None and receiver.tells_nobody,
    )


def _look(route: Route, labels: Labels, depth: int, steps: list[Step]) -> bool:
    """The walk of `route.match`, written down."""
    refused = next((format_matcher(m) for m in route.matchers if not m.matches(labels)), "")
    taken = all_match(route.matchers, labels)
    text = ",".join(format_matcher(m) for m in route.matchers)
    steps.append(Step(depth, route.id, route.receiver, text, taken, refused))
    if taken:
        for child in route.routes:
            if _look(child, labels, depth + 1, steps) and not child.continue_:
                break
    return taken
