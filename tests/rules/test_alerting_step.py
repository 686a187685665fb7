"""The state machine, as tables of what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tocsin.model.alert import AlertPhase, AlertReason
from tocsin.model.labels import Labels
from tocsin.model.rule import AlertRule, NativeSettings, Semantics
from tocsin.rules.alerting import LOST_AFTER_MS, Reading, Seen, dismiss, fires, resolves, resume, step

A = Labels({"alertname": "A", "instance": "a"})
RULE = AlertRule("r", "g", "A", "x > 1")
STEP_MS = 15_000


def play(rule: AlertRule, text: str, *, start_ms: int = 0) -> tuple[str, list[str]]:
    """Phases as letters (i p f c) after each verdict of `text` (T F ? H), and the notifications."""
    states, shown, told = {}, "", []
    for i, mark in enumerate(text):
        reading = {
            "T": Reading({A: Seen(2.0)}),
            "F": Reading({}),
            "?": Reading({}, unknown={A: AlertReason.TARGET_BLIND}),
            "H": Reading({}, holding=frozenset({A})),
        }[mark]
        states, transitions = step(rule, states, reading, start_ms + i * STEP_MS, elapsed_ms=STEP_MS if i else 0)
        shown += states[A].phase.value[0] if A in states else "i"
        told += [f"{'fired' if fires(t) else 'resolved'}@{i}" for t in transitions if fires(t) or resolves(t)]
    return shown, told


@pytest.mark.parametrize(
    ("for_s", "keep_s", "seen", "phases", "told"),
    [
        (0, 0, "FTTF", "iffi", ["fired@1", "resolved@3"]),
        (30, 0, "TTTTF", "ppffi", ["fired@2", "resolved@4"]),
        (30, 0, "TTFTTT", "ppippf", ["fired@5"]),
        (0, 30, "TFFFT", "fccif", ["fired@0", "resolved@3", "fired@4"]),
        (0, 30, "TFTFFF", "fcfcci", ["fired@0", "resolved@5"]),
        (40, 0, "TTTTT", "pppff", ["fired@3"]),
    ],
)
def test_a_plain_rule_moves_as_prometheus_moves_it(for_s: int, keep_s: int, seen: str, phases: str, told: list[str]) -> None:
    rule = replace(RULE, for_ms=for_s * 1000, keep_firing_for_ms=keep_s * 1000)
    assert play(rule, seen) == (phases, told)


@pytest.mark.parametrize(
    ("seen", "phases", "told"),
    [
        ("T????F", "pppppi", []),
        ("T?TT", "pppf", ["fired@3"]),
        ("TTTT??????F", "ppffffffffi", ["fired@2", "resolved@10"]),
        ("??????", "iiiiii", []),
    ],
)
def test_unknown_never_starts_and_never_resolves(seen: str, phases: str, told: list[str]) -> None:
    rule = replace(RULE, for_ms=20_000)
    assert play(rule, seen) == (phases, told)


def test_an_unknown_freezes_the_clock_of_a_pending_alert() -> None:
    rule = replace(RULE, for_ms=45_000)
    assert play(rule, "TTTT")[1] == ["fired@3"]
    assert play(rule, "TT??TT")[1] == ["fired@5"]


def test_a_pending_alert_of_which_nothing_is_known_for_two_minutes_is_dropped() -> None:
    rule = replace(RULE, for_ms=3_600_000)
    assert play(rule, "T" + "?" * 10)[0][-1] == "i"


def test_an_unknown_freezes_keep_firing_for() -> None:
    rule = replace(RULE, keep_firing_for_ms=30_000)
    assert play(rule, "TF??FF")[1] == ["fired@0", "resolved@5"]


def test_an_alert_unheard_of_for_a_day_ends_as_lost() -> None:
    states, _ = step(RULE, {}, Reading({A: Seen(1.0)}), 0)
    blind = Reading({}, unknown={A: AlertReason.TARGET_BLIND})
    states, transitions = step(RULE, states, blind, 15_000)
    assert not transitions
    states, transitions = step(RULE, states, blind, 15_000 + LOST_AFTER_MS + 1)
    assert [t.reason for t in transitions] == [AlertReason.LOST]


NATIVE = replace(RULE, semantics=Semantics.NATIVE, native=NativeSettings(hold_m=3, hold_n=5))


@pytest.mark.parametrize(
    ("seen", "phases"),
    [
        ("TTT", "ppf"),
        ("TFTFT", "ppppf"),
        ("TFFFTTT", "pppippf"),
        ("TFFTTT", "ppppff"),
        ("TFFTFFTTT", "pppppppff"),
    ],
)
def test_m_of_n_fires_on_enough_true_ones_and_gives_up_when_it_cannot(seen: str, phases: str) -> None:
    assert play(NATIVE, seen)[0] == phases


def test_hysteresis_holds_between_the_two_thresholds() -> None:
    rule = replace(RULE, semantics=Semantics.NATIVE, native=NativeSettings(clear_expr="x > 0.8", clear_for_ms=30_000))
    assert play(rule, "THHHFF")[0] == "ffffcc"
    assert play(rule, "THFHFFF")[0] == "ffcfcci"


def test_time_nobody_observed_counts_for_no_duration() -> None:
    rule = replace(RULE, for_ms=60_000)
    states, _ = step(rule, {}, Reading({A: Seen(1.0)}), 1_000)
    states = resume(states, 600_000)
    states, transitions = step(rule, states, Reading({A: Seen(1.0)}), 616_000)
    assert not transitions
    assert states[A].phase is AlertPhase.PENDING
    states, transitions = step(rule, states, Reading({A: Seen(1.0)}), 661_000)
    assert [t.after for t in transitions] == [AlertPhase.FIRING]


def test_a_removed_rule_resolves_what_fires_and_forgets_what_waits() -> None:
    states, _ = step(RULE, {}, Reading({A: Seen(1.0)}), 0)
    ended = dismiss(states, AlertReason.RULE_REMOVED, 5)
    assert [(resolves(t), t.reason) for t in ended] == [(True, AlertReason.RULE_REMOVED)]
    pending, _ = step(replace(RULE, for_ms=1), {}, Reading({A: Seen(1.0)}), 0)
    assert not any(resolves(t) for t in dismiss(pending, AlertReason.RULE_REMOVED, 5))


def test_a_failed_evaluation_changes_nothing() -> None:
    states, _ = step(RULE, {}, Reading({A: Seen(1.0)}), 0)
    after, transitions = step(RULE, states, Reading({}, nothing_known=AlertReason.KEPT_UNKNOWN), 15_000)
    assert not transitions
    assert after[A].phase is AlertPhase.FIRING
