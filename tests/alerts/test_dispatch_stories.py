"""The dispatcher from intake to page, on virtual time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tocsin.alerts.route import default_routing
from tocsin.formats.matchers import parse_matchers
from tocsin.model.alert import PageReason
from tocsin.model.recurrence import Occurrences, parse_rrule
from tocsin.model.route import InhibitRule, MaintenanceWindow, Route, TimeInterval, TimeRange


def test_a_group_waits_for_companions_and_is_told_once(story: Any) -> None:
    story.fire(instance="a")
    story.at(5).fire(instance="b")
    story.at(300)
    assert story.told() == [(10.0, "FIRST", "team")]
    assert [a.labels["instance"] for a in story.last().firing] == ["a", "b"]
    assert story.last().group_key == '{}:{alertname="A"}'


def test_a_late_alert_is_told_at_the_next_group_interval(story: Any) -> None:
    story.fire(instance="a")
    story.at(30).fire(instance="b")
    story.at(300)
    assert story.told() == [(10.0, "FIRST", "team"), (70.0, "NEW_ALERTS", "team")]


def test_the_end_is_told_to_whoever_heard_of_the_beginning(story: Any) -> None:
    story.fire()
    story.at(30).resolve()
    story.at(300)
    assert story.told() == [(10.0, "FIRST", "team"), (70.0, "ALL_RESOLVED", "team")]
    assert story.timeline() == ["fired", "paged", "resolved", "end_told"]
    assert "Its end was told to team" in story.explanation()


def test_an_alert_over_before_group_wait_tells_nobody_and_says_why(story: Any) -> None:
    story.fire()
    story.at(3).resolve()
    story.at(30)
    assert story.told() == []
    assert story.explanation() == "Not told to team: it ended before anybody was told."
    assert story.timeline() == ["fired", "resolved", "not_paged"]


def test_some_resolved_then_all(story: Any) -> None:
    story.fire(instance="a")
    story.fire(instance="b")
    story.at(20).resolve(instance="a")
    story.at(100).resolve(instance="b")
    story.at(600)
    assert [r for _, r, _ in story.told()] == ["FIRST", "SOME_RESOLVED", "ALL_RESOLVED"]


def test_a_firing_group_repeats_after_repeat_interval_at_a_group_tick(story: Any) -> None:
    story.fire()
    story.at(800)
    assert story.told() == [(10.0, "FIRST", "team"), (670.0, "REPEAT", "team")]


def test_an_alert_older_than_group_wait_is_told_at_once(story: Any) -> None:
    story.at(100).fire(starts=10)
    assert story.told() == [(100.0, "FIRST", "team")]


def test_h3_a_restart_during_group_wait_resumes_the_timer(story: Any) -> None:
    story.fire()
    story.at(4)
    story.restart(down=2)
    story.at(60)
    assert story.told() == [(10.0, "FIRST", "team")]


def test_h4_a_silence_survives_kill_9(story: Any) -> None:
    story.silence('alertname="A"', until=600)
    story.restart()
    story.fire()
    story.at(300)
    assert story.told() == []


def test_h5_a_restart_after_the_page_does_not_page_again(story: Any) -> None:
    story.report(ends=240)
    story.at(15)
    story.restart(down=5)
    story.report(ends=260)
    story.at(200)
    assert story.told() == [(10.0, "FIRST", "team")]


def test_h1_resolved_under_silence_is_owed_and_a_new_firing_pages(story: Any) -> None:
    story.fire()
    story.at(20)
    silence = story.silence('alertname="A"', until=3000)
    story.at(40).resolve()
    story.at(200)
    assert story.told() == [(10.0, "FIRST", "team"), (20.0, "SUPPRESSED", "team")]
    assert story.explanation().startswith("Its end is not told yet to team: silenced by")
    story.unsilence(silence)
    assert story.told()[2:] == [(200.0, "ALL_RESOLVED", "team")]
    story.at(210).fire()
    story.at(221)
    assert story.told()[3:] == [(220.0, "FIRST", "team")]


def test_h1_fired_anew_under_silence_pages_when_the_silence_ends(story: Any) -> None:
    story.fire()
    story.at(20)
    story.silence('alertname="A"', until=100)
    story.at(30).resolve()
    story.at(50).fire()
    story.at(400)
    assert story.told() == [(10.0, "FIRST", "team"), (20.0, "SUPPRESSED", "team"), (100.0, "UNSUPPRESSED", "team")]


def test_a_silence_on_what_is_being_paged_stops_the_paging_once(story: Any) -> None:
    story.fire()
    story.at(20)
    story.silence('alertname="A"', until=900)
    story.at(800)
    assert story.told() == [(10.0, "FIRST", "team"), (20.0, "SUPPRESSED", "team")]
    page = story.last()
    assert (page.firing, page.resolved) == ((), ())
    assert [cause.kind.value for _, causes in page.suppressed for cause in causes] == ["silenced"]


def test_one_silenced_one_resolved_is_not_all_resolved(story: Any) -> None:
    story.fire(instance="a")
    story.fire(instance="b")
    story.at(20)
    story.silence('instance="a"', until=4000)
    story.at(30).resolve(instance="b")
    story.at(200)
    assert [r for _, r, _ in story.told()] == ["FIRST", "SOME_RESOLVED"]
    assert [alert.labels["instance"] for alert, _ in story.last().suppressed] == ["a"]


def test_a_silence_that_runs_out_while_firing_pages_at_once(story: Any) -> None:
    story.silence('alertname="A"', until=95)
    story.fire()
    story.at(300)
    assert story.told() == [(95.0, "UNSUPPRESSED", "team")]
    assert story.timeline() == ["fired", "suppressed", "not_paged", "unsuppressed", "paged"]


def test_a_silence_that_ends_within_group_wait_changes_nothing(story: Any) -> None:
    silence = story.silence('alertname="A"', until=95)
    story.fire()
    story.at(5)
    story.unsilence(silence)
    story.at(30)
    assert story.told() == [(10.0, "FIRST", "team")]


def test_h9_changed_annotations_do_not_page(story: Any) -> None:
    story.fire()
    story.at(15).fire()
    story.at(300)
    assert story.told() == [(10.0, "FIRST", "team")]


def test_inhibited_while_the_source_fires_and_told_after(tell: Any, make_routing: Any) -> None:
    rule = InhibitRule(parse_matchers("severity=critical"), parse_matchers("severity=warning"), ("service",))
    story = tell(make_routing(group_by=("severity",), inhibit_rules=(rule,)))
    story.fire(severity="critical", service="x")
    story.fire(severity="warning", service="x")
    story.at(100)
    assert story.told() == [(10.0, "FIRST", "team")]
    assert "inhibited while alert" in story.explanation(severity="warning", service="x")
    story.resolve(severity="critical", service="x")
    story.at(101)
    assert (100.0, "UNSUPPRESSED", "team") in story.told()


def test_a_told_warning_is_not_told_again_when_its_inhibition_ends(tell: Any, make_routing: Any) -> None:
    rule = InhibitRule(parse_matchers("severity=critical"), parse_matchers("severity=warning"), ())
    story = tell(make_routing(group_by=("severity",), inhibit_rules=(rule,)))
    story.fire(severity="warning")
    story.at(20).fire(severity="critical")
    story.at(40).resolve(severity="critical")
    story.at(300)
    assert [r for _, r, _ in story.told()] == ["FIRST", "FIRST", "ALL_RESOLVED"]


def test_a_muted_route_is_told_in_the_minute_its_interval_ends(tell: Any, make_routing: Any) -> None:
    night = {"night": (TimeInterval(times=(TimeRange(0, 3),)),)}
    child = Route(
        "",
        "quiet",
        parse_matchers("team=q"),
        ("alertname",),
        group_wait_ms=10_000,
        group_interval_ms=3_600_000,
        mute_time_intervals=("night",),
    )
    story = tell(make_routing(child, time_intervals=night))
    story.fire(team="q")
    story.at(170)
    assert story.told() == []
    assert "time interval night" in story.explanation(team="q")
    story.at(600)
    assert story.told() == [(180.0, "UNSUPPRESSED", "quiet")]


def test_an_outside_alert_expires_when_nobody_reports_it(story: Any) -> None:
    story.report(ends=40)
    story.at(200)
    assert [r for _, r, _ in story.told()] == ["FIRST", "ALL_RESOLVED"]


def test_an_outside_alert_does_not_expire_while_tocsin_is_down(story: Any) -> None:
    story.report(ends=100)
    story.at(20)
    story.restart(down=600)
    story.at(700)
    story.report(ends=1000)
    story.at(990)
    assert "ALL_RESOLVED" not in [r for _, r, _ in story.told()]


def test_a_rule_alert_never_expires_by_time(story: Any) -> None:
    story.fire()
    story.at(20)
    story.restart(down=86_400)
    story.at(86_500)
    assert [r for _, r, _ in story.told() if r == "ALL_RESOLVED"] == []


def test_the_default_route_tells_criticals_and_recoveries_at_once(tell: Any) -> None:
    story = tell(default_routing())
    story.fire(severity="critical")
    assert story.told() == [(0.0, "FIRST", "default")]
    story.at(7).resolve(severity="critical")
    assert story.told()[1:] == [(7.0, "ALL_RESOLVED", "default")]
    story.at(20).fire(severity="warning", service="w")
    story.at(60)
    assert story.told()[2:] == [(50.0, "FIRST", "default")]
    story.fire(severity="critical", service="w")
    assert story.told()[3:] == [(60.0, "NEW_ALERTS", "default")]


def test_a_reload_with_the_same_groups_tells_nobody_twice(story: Any, make_routing: Any) -> None:
    story.fire()
    story.at(15)
    story.apply(make_routing(Route("", "other", parse_matchers("team=z"))))
    story.at(600)
    assert story.told() == [(10.0, "FIRST", "team")]


def test_whoever_was_told_hears_of_the_end_after_a_reroute(story: Any, make_routing: Any) -> None:
    story.fire(team="z")
    story.at(15)
    story.apply(make_routing(Route("", "other", parse_matchers("team=z"), group_wait_ms=10_000)))
    story.at(40).resolve(team="z")
    story.at(400)
    assert [(r, who) for _, r, who in story.told() if who == "team"] == [("FIRST", "team"), ("ALL_RESOLVED", "team")]
    assert [(r, who) for _, r, who in story.told() if who == "other"] == [("FIRST", "other"), ("ALL_RESOLVED", "other")]


def test_a_failing_sink_leaves_everything_undone_and_is_tried_again(story: Any) -> None:
    story.fire()
    sink, story.dispatcher._sink = story.dispatcher._sink, _broken
    try:
        story.at(10)
        raise AssertionError("the sink's error must reach the loop")
    except RuntimeError:
        pass
    story.dispatcher._sink = sink
    story.at(11)
    assert [r for _, r, _ in story.told()] == [PageReason.FIRST.name]


def _broken(tx: Any, page: Any, now_ms: int) -> None:
    raise RuntimeError("no room")


def test_maintenance_holds_alerts_and_tells_what_still_fires_at_its_end(tell: Any, make_routing: Any) -> None:
    # Stories begin at 2026-01-01T00:00:00Z; the window is 00:00 to 00:03 every Thursday.
    occurrences = Occurrences(parse_rrule("FREQ=WEEKLY;BYDAY=TH"), datetime(2026, 1, 1), 180_000)
    window = MaintenanceWindow("deploy", parse_matchers("service=shop"), occurrences)
    story = tell(replace(make_routing(), maintenance=(window,)))
    story.fire(service="shop")
    story.at(170)
    assert story.told() == []
    assert "in maintenance (deploy)" in story.explanation(service="shop")
    story.at(300)
    assert story.told() == [(180.0, "UNSUPPRESSED", "team")]


def test_alerts_of_dependent_services_are_held_while_the_cause_fires(tell: Any, make_routing: Any) -> None:
    graph = {"shop": ("api",), "api": ("db",)}
    story = tell(replace(make_routing(group_by=("service",)), depends_on=graph))
    story.fire(service="db", severity="critical")
    story.fire(service="shop", severity="critical")
    story.fire(service="other", severity="critical")
    story.at(60)
    assert [page.group_labels["service"] for _, page in story.pages] == ["db", "other"]
    assert "service db, which it depends on, is in trouble" in story.explanation(service="shop", severity="critical")
    story.resolve(service="db", severity="critical")
    story.at(120)
    assert ("UNSUPPRESSED", "shop") in [(page.reason.name, page.group_labels["service"]) for _, page in story.pages]


def test_a_graver_alert_is_told_although_what_it_depends_on_has_a_lesser_one(tell: Any, make_routing: Any) -> None:
    story = tell(replace(make_routing(group_by=("service",)), depends_on={"shop": ("db",)}))
    story.fire(service="db", severity="warning")
    story.fire(service="shop", severity="critical")
    story.at(60)
    assert sorted(page.group_labels["service"] for _, page in story.pages) == ["db", "shop"]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_by_an_hour_tells_nothing_false_and_delays_nothing(story: Any, hours: int) -> None:
    moved = hours * 3600
    story.report(ends=240, instance="outside")
    story.fire(instance="ours")
    story.at(30)
    story.move_clock(moved)
    story.at(moved + 60).fire(instance="late")
    story.at(moved + 200)
    assert [r for _, r, _ in story.told()] == ["FIRST", "NEW_ALERTS"]
    assert story.told()[1][0] - moved <= 90
    story.at(moved + 400)
    assert [r for _, r, _ in story.told()] == ["FIRST", "NEW_ALERTS", "SOME_RESOLVED"]


def test_the_default_route_tells_one_cause_once(tell: Any) -> None:
    story = tell(default_routing())
    story.fire(severity="critical", signal="latency", service="shop")
    story.fire(severity="warning", signal="latency", service="shop")
    story.fire(severity="warning", signal="latency", service="db")
    story.fire(severity="warning", service="own-rule")
    story.at(60)
    assert sorted(page.group_labels["service"] for _, page in story.pages) == ["db", "own-rule", "shop"]
    assert "inhibited" in story.explanation(severity="warning", signal="latency", service="shop")
