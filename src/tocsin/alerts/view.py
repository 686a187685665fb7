"""What the Alertmanager API shows: alerts and groups with their state at this instant, worked out from rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from tocsin.alerts import rows
from tocsin.alerts.group import Group
from tocsin.alerts.route import RouteTree
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.suppress import Rules, Suppressor
from tocsin.alerts.timeinterval import muted_by
from tocsin.model.alert import SuppressedBy, Suppression
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.route import Routing


@dataclass(frozen=True, slots=True)
class Filter:
    """What a client asked for. Empty matchers and None do not restrict."""

    matchers: Sequence[Matcher] = ()
    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    muted: bool = True
    receiver: Callable[[str], bool] | None = None
    receiver_matchers: Sequence[Matcher] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A firing alert with its causes and the receivers of its routes."""

    known: KnownAlert
    causes: tuple[SuppressedBy, ...]
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownGroup:
    group: Group
    route_labels: Mapping[str, str]
    muted_by: tuple[str, ...]
    alerts: tuple[Shown, ...]


class View:
    """The state of everything that fires at `now_ms`, read in one snapshot."""

    def __init__(self, connection: Connection, routing: Routing, now_ms: int) -> None:
        self._connection = connection
        self._routing = routing
        self._now_ms = now_ms
        self._tree = RouteTree(routing.root)
        self._known = rows.read_firing(connection, now_ms)
        silences = rows.read_silences(connection, ends_after_ms=now_ms)
        labels = {fp: known.alert.labels for fp, known in self._known.items()}
        rules = Rules.of(routing)
        pending = rows.read_pending(connection) if rules.graph else ()
        self._suppressor = Suppressor(rules, silences, labels, now_ms, pending=pending)

    def alerts(self, wanted: Filter) -> list[Shown]:
        """By fingerprint."""
        return list(self._shown(self._known.values(), wanted))

    def groups(self, wanted: Filter) -> list[ShownGroup]:
        """Groups that have something to show, by labels, then receiver."""
        groups = rows.read_groups(self._connection)
        members = rows.read_members(self._connection, groups)
        found = []
        for key, group in groups.items():
            if not self._receiver_wanted([group.receiver], wanted):
                continue
            quiet = self._muted_by(group)
            if quiet and not wanted.muted:
                continue
            known = [self._known[fp] for fp in members.get(key, ()) if fp in self._known]
            shown = tuple(self._shown(known, wanted, in_group=True))
            if shown:
                node = self._tree.nodes.get(group.route_id)
                found.append(ShownGroup(group, node.route.labels if node else {}, quiet, shown))
        return sorted(found, key=lambda shown: (shown.group.labels.pairs, shown.group.receiver))

    def _shown(self, known: Iterable[KnownAlert], wanted: Filter, *, in_group: bool = False) -> Iterator[Shown]:
        """Those that are wanted; in a group (whose receiver was judged already) only the wanted receivers are named."""
        for entry in known:
            labels = entry.alert.labels
            if not matches_filter(wanted.matchers, labels):
                continue
            receivers = tuple(node.route.receiver for node in self._tree.match(labels))
            if in_group:
                receivers = tuple(name for name in receivers if self._receiver_wanted([name], wanted))
            elif not self._receiver_wanted(receivers, wanted):
                continue
            causes = self._suppressor.causes(entry.alert)
            kinds = {cause.kind for cause in causes}
            if (
                (not wanted.active and not causes)
                or (not wanted.silenced and Suppression.SILENCED in kinds)
                or (not wanted.inhibited and Suppression.INHIBITED in kinds)
            ):
                continue
            yield Shown(entry, causes, receivers)

    def _receiver_wanted(self, names: Sequence[str], wanted: Filter) -> bool:
        if wanted.receiver is not None and not any(map(wanted.receiver, names)):
            return False
        if not wanted.receiver_matchers:
            return True
        return any(matches_filter(wanted.receiver_matchers, receiver_labels(self._routing, name)) for name in names)

    def _muted_by(self, group: Group) -> tuple[str, ...]:
        node = self._tree.nodes.get(group.route_id)
        if node is None:
            return ()
        route = node.route
        return muted_by(route.mute_time_intervals, route.active_time_intervals, self._routing.time_intervals, self._now_ms)


def receiver_labels(routing: Routing, name: str) -> dict[str, str]:
    receiver = routing.receivers.get(name)
    return {**(receiver.labels if receiver else {}), "name": name}


def matches_filter(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Alertmanager's filter: like matchers, but `x=""` asks for alerts without the label `x`, `x!=""` for those with it."""
    for matcher in matchers:
        if matcher.value == "":
            negative = matcher.op in (MatchOp.NOT_EQUAL, MatchOp.NOT_REGEX)
            if negative == (matcher.name in labels):
                continue
        if not matcher.matches(labels):
            return False
    return True
