"""A backtest in numbers: how often, how long, at what hour; and how two of them differ."""

from __future__ import annotations

import datetime as dt
import statistics
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.backtest.rehearsal import Rehearsed, Told
from tocsin.backtest.replay import Firing, Replay
from tocsin.model.notification import NotificationKind

WEEK_MS = 604_800_000
SHORT_MS = 300_000
"""An alert that ends by itself within this was hardly worth waking for."""
AGAIN_MS = 600_000
"""An alert that fires again within this after its end flaps."""
NIGHT = range(22, 24), range(7)


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """What one rule would have done. Lengths in ms, rates per week."""

    name: str
    firings: int
    per_week: float
    at_night: int
    short: int
    again: int
    median_ms: int
    longest_ms: int
    still_firing: int
    alerts: int
    """Different label sets."""


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What people would have heard. One page = one person told once of one incident, however many messages that took."""

    pages: int
    pages_per_week: float
    at_night: int
    incidents: int
    untold: int
    by_person: Mapping[str, int]
    messages: int


def summarise(replay: Replay, zone: str = "UTC") -> list[RuleSummary]:
    """One summary per rule that fired, the busiest first. Night is 22:00 to 07:00 in `zone`."""
    by_name: dict[str, list[Firing]] = defaultdict(list)
    for firing in replay.firings:
        by_name[firing.name].append(firing)
    found = [_rule(name, firings, replay, zone) for name, firings in by_name.items()]
    return sorted(found, key=lambda rule: (-rule.firings, rule.name))


def pages_of(rehearsed: Rehearsed, start_ms: int, end_ms: int, zone: str = "UTC") -> PageSummary:
    calls: dict[tuple[str, int, int], Told] = {}
    messages = [message for message in rehearsed.told if message.kind is NotificationKind.PAGE]
    for message in messages:
        calls.setdefault((message.who, message.incident, message.at_ms // 60_000), message)
    by_person: dict[str, int] = defaultdict(int)
    for who, _, _ in calls:
        by_person[who] += 1
    return PageSummary(
        pages=len(calls),
        pages_per_week=_per_week(len(calls), start_ms, end_ms),
        at_night=sum(is_night(message.at_ms, zone) for message in calls.values()),
        incidents=rehearsed.incidents,
        untold=rehearsed.untold,
        by_person=dict(sorted(by_person.items())),
        messages=len(messages),
    )


def only_in(these: Sequence[Firing], those: Sequence[Firing]) -> list[Firing]:
    """Firings of `these` during which no firing of the same labels stands in `those`."""
    spans: dict[object, list[Firing]] = defaultdict(list)
    for firing in those:
        spans[firing.labels].append(firing)
    return [firing for firing in these if not any(_overlap(firing, other) for other in spans[firing.labels])]


def is_night(t_ms: int, zone: str) -> bool:
    hour = dt.datetime.fromtimestamp(t_ms / 1000, zoneinfo.ZoneInfo(zone)).hour
    return any(hour in hours for hours in NIGHT)


def _rule(name: str, firings: list[Firing], replay: Replay, zone: str) -> RuleSummary:
    lengths = [firing.length_ms(replay.end_ms) for firing in firings]
    return RuleSummary(
        name=name,
        firings=len(firings),
        per_week=_per_week(len(firings), replay.start_ms, replay.end_ms),
        at_night=sum(is_night(firing.fired_ms, zone) for firing in firings),
        short=sum(1 for firing in firings if firing.resolved_ms and firing.resolved_ms - firing.fired_ms < SHORT_MS),
        again=_again(firings),
        median_ms=int(statistics.median(lengths)),
        longest_ms=max(lengths),
        still_firing=sum(1 for firing in firings if not firing.resolved_ms),
        alerts=len({firing.labels for firing in firings}),
    )


def _again(firings: Iterable[Firing]) -> int:
    ended: dict[object, int] = {}
    count = 0
    for firing in sorted(firings, key=lambda firing: firing.fired_ms):
        if firing.labels in ended and firing.fired_ms - ended[firing.labels] < AGAIN_MS:
            count += 1
        if firing.resolved_ms:
            ended[firing.labels] = firing.resolved_ms
    return count


def _overlap(a: Firing, b: Firing) -> bool:
    forever = 1 << 62
    return a.fired_ms <= (b.resolved_ms or forever) and b.fired_ms <= (a.resolved_ms or forever)


def _per_week(count: int, start_ms: int, end_ms: int) -> float:
    return count * WEEK_MS / max(1, end_ms - start_ms)
