"""What the annotation `tocsin` does, seen from outside."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tocsin.model.rule import AlertRule
from tocsin.rules.rulefile import parse_rule_file
from tocsin.state.schema import markers


def rule(settings: str, *, expr: str = "x > 1", labels: str = "severity: warning, service: shop", extra: str = "") -> str:
    return f"""
groups:
- name: g
  rules:
  - alert: High
    expr: {expr}
    labels: {{{labels}}}
    annotations: {{tocsin: '{settings}'}}
{extra}"""


async def test_hysteresis_and_clear_for(room: Any) -> None:
    room.rules(rule("{clear: 0.5, clear_for: 30s}"))
    await room.start()
    await room.play(30, x=2)
    assert room.told() == ["High fired"]
    await room.play(120, x=0.7)
    assert room.told() == []
    await room.play(75, x=0.2)
    assert room.told() == ["High resolved"]


async def test_m_of_n_bears_a_gap(room: Any) -> None:
    room.rules(rule("{hold: 3 of 5}"))
    await room.start()
    await room.play(30, x=2)
    await room.play(15, x=0)
    assert room.told() == []
    await room.play(15, x=2)
    assert room.told() == ["High fired"]


async def test_too_little_traffic_neither_starts_nor_resolves(room: Any) -> None:
    room.rules(rule("{min_traffic: {expr: requests, value: 10}}"))
    await room.start()
    await room.play(60, x=2, requests=3)
    assert room.told() == []
    await room.play(30, x=2, requests=30)
    assert room.told() == ["High fired"]
    await room.play(60, x=0, requests=3)
    assert room.told() == []
    await room.play(30, x=0, requests=30)
    assert room.told() == ["High resolved"]


async def test_a_threshold_of_its_own(room: Any) -> None:
    settings = '{thresholds: [{match: "{instance=\\"a\\"}", value: 5}]}'
    room.rules(rule(settings))
    await room.start()
    await room.play(30, x=3)
    assert room.told() == []
    await room.play(30, x=6)
    assert room.told() == ["High fired"]


async def test_a_rule_on_probation_tells_nobody_until_it_ends(room: Any) -> None:
    room.rules(rule("{probation_until: 2023-11-14T22:15:00Z}"))  # 100 s after the clock's start
    await room.start()
    await room.play(60, x=2)
    assert room.told() == []
    assert room.phases() == {"High": "pending"}
    await room.play(60, x=2)
    assert room.told() == ["High fired"]


async def test_a_warning_waits_after_a_deploy(room: Any) -> None:
    room.rules(rule("{deploy_grace: 2m}"))
    with room.db.engine.begin() as tx:
        row = {"t_ms": room.clock.wall_ms, "kind": "deploy", "service": "shop", "text": "v41", "data": {}}
        tx.execute(sa.insert(markers).values(row))
    await room.start()
    await room.play(90, x=2)
    assert room.told() == []
    await room.play(60, x=2)
    assert room.told() == ["High fired"]


async def test_an_alert_waits_while_what_it_depends_on_is_down(room: Any) -> None:
    parent = "  - alert: DatabaseDown\n    expr: db == 0\n"
    room.rules(rule("{depends_on: [DatabaseDown]}", extra=parent))
    await room.start()
    await room.play(15, x=0, db=0)
    await room.play(60, x=2, db=0)
    assert room.told() == ["DatabaseDown fired"]
    await room.play(15, x=2, db=0)
    (state,) = [state for state in room.states() if state["labels"]["alertname"] == "High"]
    assert (state["state"], state["tocsin"]["reason"]) == ("pending", "unreachable")
    assert state["tocsin"]["note"] == "unreachable: DatabaseDown fires, which it depends on"
    await room.play(600, x=2, db=0)
    assert room.told() == []
    await room.play(30, x=2, db=1)
    assert room.told() == ["DatabaseDown resolved"]
    await room.play(60, x=2, db=1)
    assert room.told() == ["High fired"]


async def test_an_alert_that_follows_the_recovery_of_what_it_depends_on_is_never_told(room: Any) -> None:
    room.rules(rule("{depends_on: [DatabaseDown]}", extra="  - alert: DatabaseDown\n    expr: db == 0\n"))
    await room.start()
    await room.play(15, x=0, db=0)
    await room.play(300, x=2, db=0)
    await room.play(30, x=2, db=1)
    await room.play(120, x=0, db=1)
    assert room.told() == ["DatabaseDown fired", "DatabaseDown resolved"]
    assert [line for line in room.timeline() if "unreachable" in line] == [
        "High: unreachable: DatabaseDown fires, which it depends on"
    ]


async def test_a_parent_that_is_only_pending_holds_its_children_for_a_minute(room: Any) -> None:
    room.rules(rule("{depends_on: [DatabaseDown]}", extra="  - alert: DatabaseDown\n    expr: db == 0\n    for: 1h\n"))
    await room.start()
    await room.play(15, x=0, db=0)
    await room.play(45, x=2, db=0)
    assert room.told() == []
    await room.play(45, x=2, db=0)
    assert room.told() == ["High fired"]


async def test_proof_of_a_failure_of_its_own_sets_an_alert_free(room: Any) -> None:
    settings = "{depends_on: [DatabaseDown], proof: outside == 0}"
    room.rules(rule(settings, extra="  - alert: DatabaseDown\n    expr: db == 0\n"))
    await room.start()
    await room.play(15, x=0, db=0, outside=1)
    await room.play(300, x=2, db=0, outside=1)
    assert room.told() == ["DatabaseDown fired"]
    await room.play(30, x=2, db=0, outside=0)
    assert room.told() == ["High fired"]


async def test_unreachable_survives_a_restart(room: Any) -> None:
    room.rules(rule("{depends_on: [DatabaseDown]}", extra="  - alert: DatabaseDown\n    expr: db == 0\n"))
    await room.start()
    await room.play(15, x=0, db=0)
    await room.play(120, x=2, db=0)
    assert room.told() == ["DatabaseDown fired"]
    await room.restart()
    await room.play(120, x=2, db=0)
    assert room.told() == []


def test_rules_that_depend_on_each_other_in_a_circle_are_refused_with_their_place() -> None:
    text = rule(
        "{depends_on: [Low]}", extra="  - alert: Low\n    expr: y < 1\n    annotations: {tocsin: '{depends_on: [High]}'}\n"
    )
    _, (problem,) = parse_rule_file(text, "r.yml")
    assert "High -> Low -> High" in problem.message
    assert problem.place.line == 5


async def test_an_alert_that_flaps_while_it_fires_does_not_end_and_is_flagged(room: Any) -> None:
    room.rules(rule("{clear_for: 1m}"))
    await room.start()
    await room.play(60, x=2)
    assert room.told() == ["High fired"]
    for _ in range(12):
        await room.play(15, x=0)
        await room.play(15, x=2)
    (state,) = room.states()
    assert state["tocsin"]["flapping"].startswith("flapping: its condition changed")
    assert sum("flapping: its condition changed" in line for line in room.timeline()) == 1
    await room.play(300, x=0)
    assert room.told() == []
    assert room.states()[0]["tocsin"]["reason"] == "flapping"
    await room.restart()
    assert room.states()[0]["tocsin"]["flapping"]
    await room.play(630, x=0)
    assert room.told() == ["High resolved"]
    assert room.states() == []


async def test_flapping_that_stops_while_it_fires_leaves_it_firing(room: Any) -> None:
    room.rules(rule("{clear_for: 1m}"))
    await room.start()
    await room.play(60, x=2)
    for _ in range(12):
        await room.play(15, x=0)
        await room.play(15, x=2)
    await room.play(960, x=2)
    assert room.told() == ["High fired"]
    assert room.states()[0]["tocsin"]["flapping"] == ""


async def test_missing_series_alert_when_asked(room: Any) -> None:
    room.rules(rule("{on_nodata: alert}"))
    await room.start()
    await room.play(60, x=0)
    assert room.told() == []
    await room.play(180)
    assert room.told() == ["High fired"]
    assert room.evaluator.state()["alerts"][0]["labels"]["nodata"] == "true"
    await room.play(30, x=0)
    assert room.told() == ["High resolved"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{hold: 5 of 3}", "m of n"),
        ("{hold: often}", "m of n"),
        ("{unknown_key: 1}", "unknown key"),
        ("{clear: 1}", "form"),
        ("{clear_expr: x >}", "could not parse"),
        ("{on_nodata: maybe}", "keep, ok, alert"),
        ("{thresholds: [{match: 5, value: 1}]}", "expected matchers"),
        ("{probation_until: soon}", "expected a date"),
        ("{semantics: strange}", "native, compatible or prometheus"),
        ("{semantics: compatible, hold: 1 of 2}", "takes no other setting"),
        ("[1", "not valid YAML"),
        ("{clear_for: 5}", "duration"),
        ("{proof: x >}", "could not parse"),
    ],
)
def test_wrong_settings_are_refused_with_their_place(settings: str, message: str) -> None:
    expr = "absent(x)" if settings == "{clear: 1}" else "x > 1"
    _, problems = parse_rule_file(rule(settings, expr=expr), "r.yml")
    assert problems, settings
    assert message in str(problems[0])
    assert problems[0].place.line == 8
    assert problems[0].path.startswith("groups[0].rules[0].annotations.tocsin")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up ==\n", 5, "could not parse expression"),
        ("groups:\n- name: a\n- name: a\n", 3, "repeated"),
        ("groups:\n- name: a\n  rules:\n  - expr: up\n", 4, "one of 'record' or 'alert'"),
        ("groups:\n- name: a\n  rules:\n  - record: r\n    for: 5m\n    expr: up\n", 5, "no 'for'"),
        ("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up\n    for: 5\n", 6, "duration"),
        ("groups:\n- name: a\n  color: red\n", 3, "unknown key 'color'"),
        ("groups:\n- name: a\n  interval: 1m\n  interval: 2m\n", 4, "twice"),
        (
            "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up\n    annotations: {s: '{{ $nope }}'}\n",
            6,
            "undefined variable",
        ),
        ("groups: [", 1, "not valid YAML"),
        ("- x", 1, "expected a map"),
        ("groups:\n- name: a\n  rules: " + "[" * 100_000, 3, "too deeply nested"),
        (
            "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: up\n    annotations:\n      a: x\n      bad: '{{ $nope }}'\n",
            8,
            "annotations.bad: template of A",
        ),
    ],
)
def test_a_wrong_rule_file_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    _, problems = parse_rule_file(text, "r.yml")
    assert problems
    assert message in str(problems[0])
    assert problems[0].place.line == line or message == "not valid YAML"


def test_rules_share_what_an_anchor_names() -> None:
    text = "groups:\n- name: g\n  rules:\n  - &one {alert: A, expr: x, for: 5m, labels: {v: 1.10}}\n  - {<<: *one, alert: B}\n"
    (group,), problems = parse_rule_file(text, "r.yml")
    assert problems == []
    assert [(rule.name, rule.expr, rule.labels, rule.for_ms) for rule in group.rules if isinstance(rule, AlertRule)] == [
        ("A", "x", {"v": "1.10"}, 300_000),
        ("B", "x", {"v": "1.10"}, 300_000),
    ]
