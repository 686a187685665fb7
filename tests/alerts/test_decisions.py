"""The pure decisions as tables: merging, the reason of a page, time intervals, routes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tocsin.alerts.depend import find_cycle
from tocsin.alerts.group import Group, row_key
from tocsin.alerts.inhibit import Inhibitions, InhibitRules
from tocsin.alerts.merge import merge
from tocsin.alerts.route import default_routing, match
from tocsin.alerts.routetest import explain_route
from tocsin.alerts.stages import Member, look
from tocsin.alerts.timeinterval import contains, muted_by
from tocsin.formats.matchers import parse_matchers
from tocsin.model.alert import Alert, PageReason, SuppressedBy, Suppression
from tocsin.model.labels import Labels
from tocsin.model.route import InclusiveRange, InhibitRule, Route, TimeInterval, TimeRange

NOW = 1_000_000
ROUTE = Route("{}", "r", group_interval_ms=100, repeat_interval_ms=10_000)


def alert(start: int, end: int = 0, *, source: str = "api:p", timeout: bool = False) -> Alert:
    return Alert(Labels({"alertname": "A"}), {}, start, end, source=source, timeout=timeout)


@pytest.mark.parametrize(
    ("old", "new", "start", "end"),
    [
        # Overlapping: earliest start, and the end of the younger report.
        (alert(100, NOW + 50), alert(200, NOW + 90), 100, NOW + 90),
        # Both over: the later explicit end.
        (alert(100, 900), alert(200, 800), 100, 900),
        # An end that somebody named outlives one that is assumed; an assumed one does not.
        (alert(100, NOW + 900), alert(200, NOW + 100, timeout=True), 100, NOW + 900),
        (alert(100, NOW + 900, timeout=True), alert(200, NOW + 100, timeout=True), 100, NOW + 100),
        # Without an end until somebody names one, also one ahead of our clock; an assumed end is none.
        (alert(100), alert(100, NOW + 3), 100, NOW + 3),
        (alert(100), alert(100, NOW + 300, timeout=True), 100, 0),
        # No overlap: another episode.
        (alert(100, 200), alert(300, NOW + 100), 300, NOW + 100),
        # A resolved report ends it.
        (alert(100, NOW + 900), alert(100, NOW - 1), 100, NOW - 1),
        # A rule's alert has no end until the rule says so; the API cannot end it.
        (alert(100, source="rule:x"), alert(100, NOW - 1, source="rule:x"), 100, NOW - 1),
        (alert(100, source="rule:x"), alert(100, NOW - 1), 100, 0),
        (alert(100, NOW + 900), alert(150, source="rule:x"), 100, 0),
    ],
)
def test_merge(old: Alert, new: Alert, start: int, end: int) -> None:
    merged = merge(old, new, NOW)
    assert (merged.starts_at_ms, merged.ends_at_ms) == (start, end)


SILENCED = (SuppressedBy(Suppression.SILENCED, "s"),)
INHIBITED = (SuppressedBy(Suppression.INHIBITED, "f"),)


def member(
    name: str, start: int = 1, *, ended: bool = False, causes: tuple[SuppressedBy, ...] = (), free: bool = False
) -> Member:
    released = (Suppression.SILENCED,) if free else ()
    return Member(name, alert(start, NOW - 5 if ended else 0), causes, released)


def group(told: dict[str, int], *, last: int = NOW - 1000, covered: bool = False) -> Group:
    return Group("k", "g", "{}", "r", last_flush_ms=last, last_notified_ms=last, notified_firing=told, covered=covered)


@pytest.mark.parametrize(
    ("told", "members", "reason"),
    [
        ({}, [member("a")], PageReason.FIRST),
        ({}, [member("a", ended=True)], None),
        ({}, [member("a", causes=SILENCED)], None),
        ({"a": 1}, [member("a")], None),
        ({"a": 1}, [member("a"), member("b")], PageReason.NEW_ALERTS),
        ({"a": 1}, [member("a", start=2)], PageReason.NEW_ALERTS),
        ({"a": 1, "b": 1}, [member("a", ended=True), member("b")], PageReason.SOME_RESOLVED),
        ({"a": 1}, [member("a", ended=True)], PageReason.ALL_RESOLVED),
        ({"a": 1}, [member("a", ended=True), member("b", causes=SILENCED)], PageReason.ALL_RESOLVED),
        ({"a": 1, "b": 1}, [member("a", ended=True), member("b", causes=SILENCED)], PageReason.SOME_RESOLVED),
        ({"a": 1}, [member("a", ended=True, causes=SILENCED)], None),
        ({"a": 1}, [member("a", ended=True, causes=INHIBITED)], PageReason.ALL_RESOLVED),
        ({"a": 1}, [member("a", causes=SILENCED)], PageReason.SUPPRESSED),
        ({"a": 1}, [member("a", causes=INHIBITED)], None),
        ({"a": 1}, [member("a", free=True)], PageReason.UNSUPPRESSED),
        ({}, [member("a", free=True)], PageReason.UNSUPPRESSED),
    ],
)
def test_the_reason_of_a_page(told: dict[str, int], members: list[Member], reason: PageReason | None) -> None:
    outcome = look(group(told), members, route=ROUTE, muted_by=(), now_ms=NOW)
    assert (outcome.page.reason if outcome.page else None) is reason
    assert (outcome.quiet is None) is (outcome.page is not None)
    assert outcome.group.next_flush_ms == NOW + 100


def test_a_repeat_waits_for_its_interval_and_a_muted_group_for_its_own() -> None:
    members = [member("a")]
    outcome = look(group({"a": 1}, last=NOW - 10_000), members, route=ROUTE, muted_by=(), now_ms=NOW)
    assert outcome.page is None
    outcome = look(group({"a": 1}, last=NOW - 10_001), members, route=ROUTE, muted_by=(), now_ms=NOW)
    assert outcome.page is not None
    assert outcome.page.reason is PageReason.REPEAT
    muted = look(group({}), members, route=ROUTE, muted_by=("nights",), now_ms=NOW)
    assert (muted.page, muted.group.muted) == (None, True)
    assert muted.suppressed == {"a": (SuppressedBy(Suppression.MUTED, "nights"),)}
    assert muted.group.next_flush_ms % 60_000 == 0


def test_who_has_no_more_business_leaves() -> None:
    members = [
        member("told", ended=True),
        member("untold", ended=True),
        member("owed", ended=True, causes=SILENCED),
        member("on"),
    ]
    outcome = look(group({"told": 1, "owed": 1, "on": 1}), members, route=ROUTE, muted_by=(), now_ms=NOW)
    assert set(outcome.leaving) == {"told", "untold"}
    assert outcome.group.notified_firing == {"owed": 1, "on": 1}


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


R = InclusiveRange


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        (TimeInterval(), ["2026-01-01 00:00"], []),
        (
            TimeInterval(times=(TimeRange(540, 1020),)),
            ["2026-01-01 09:00", "2026-01-01 16:59"],
            ["2026-01-01 17:00", "2026-01-01 08:59"],
        ),
        (TimeInterval(weekdays=(R(1, 5),)), ["2026-01-02 12:00"], ["2026-01-03 12:00", "2026-01-04 12:00"]),
        (TimeInterval(days_of_month=(R(-1, -1),)), ["2026-02-28 12:00", "2024-02-29 12:00"], ["2024-02-28 12:00"]),
        (TimeInterval(days_of_month=(R(30, 31),)), ["2026-01-30 12:00"], ["2026-02-28 12:00"]),
        (TimeInterval(days_of_month=(R(25, 31),)), ["2026-02-28 12:00"], ["2026-02-24 12:00"]),
        (TimeInterval(months=(R(1, 3),), years=(R(2026, 2026),)), ["2026-03-31 23:59"], ["2026-04-01 00:00", "2025-01-01 00:00"]),
    ],
)
def test_time_intervals(interval: TimeInterval, inside: list[str], outside: list[str]) -> None:
    assert all(contains(interval, at(text)) for text in inside)
    assert not any(contains(interval, at(text)) for text in outside)


def test_an_interval_is_in_its_own_zone_and_active_intervals_mute_outside_themselves() -> None:
    office = TimeInterval(times=(TimeRange(540, 1020),), location="America/New_York")
    noon = at("2026-07-01 12:00", "America/New_York")
    intervals = {"office": (office,)}
    assert muted_by(("office",), (), intervals, noon) == ("office",)
    assert muted_by((), ("office",), intervals, noon) == ()
    assert muted_by((), ("office",), intervals, noon + 12 * 3_600_000) == ("office",)


def test_both_sided_alerts_do_not_inhibit_each_other() -> None:
    rules = InhibitRules([InhibitRule(parse_matchers("s=~x|y"), parse_matchers("s=~y|z"), ("host",))])
    x, y, z = (Labels({"s": name, "host": "1"}) for name in "xyz")
    both = Inhibitions(rules, [("fy", y)])
    assert (both.inhibitor_of(z), both.inhibitor_of(y)) == ("fy", "")
    more = Inhibitions(rules, [("fy", y), ("fx", x)])
    assert (more.inhibitor_of(y), more.inhibitor_of(x)) == ("fx", "")
    assert more.inhibitor_of(Labels({"s": "z", "host": "2"})) == ""


def test_routes_stop_at_the_first_match_without_continue() -> None:
    children = (
        Route("0", "a", parse_matchers("x=1"), continue_=True),
        Route("1", "b", parse_matchers("x=1")),
        Route("2", "c", parse_matchers("x=1")),
    )
    root = Route("r", "root", routes=children)
    assert [route.receiver for route in match(root, {"x": "1"})] == ["a", "b"]
    assert [route.receiver for route in match(root, {"x": "2"})] == ["root"]


def test_a_route_is_explained_with_every_route_that_was_looked_at() -> None:
    answer = explain_route(default_routing(), {"severity": "critical", "alertname": "A"}, now_ms=NOW)
    assert answer.receivers == ("default",)
    assert answer.destined[0].sentence() == "default: first after 0s, news every 5m, again every 4h"
    assert answer.destined[0].group_key == '{}:{alertname="A"}'
    assert [step.taken for step in answer.steps] == [True]


def test_long_group_keys_stay_unique_and_short() -> None:
    one, two = row_key("r", "x" * 5000 + "1"), row_key("r", "x" * 5000 + "2")
    assert one != two
    assert len(one) <= 1000


def test_cycles_are_found() -> None:
    assert find_cycle({"a": ("b",), "b": ("c",), "c": ()}) == ()
    assert find_cycle({"a": ("b",), "b": ("a",)}) == ("a", "b", "a")
    assert find_cycle({"a": ("a",)}) == ("a", "a")
