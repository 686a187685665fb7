"""The state of a check: tables of results, and laws over random sequences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.collect.check_state import blind, initial, overall, paused, recheck_delay_ms, resumed, step
from tocsin.model.check import CheckReason, CheckResult, CheckSpec, CheckState, CheckStatus

SPEC = CheckSpec("c", "c", "http", {}, "http://c", failures=3, successes=2)


def result(kind: str, t_ms: int) -> CheckResult:
    """g good, s slow, b bad, k could not judge."""
    return CheckResult(
        "c",
        t_ms,
        0.0,
        kind in "gs",
        {"g": CheckReason.OK, "s": CheckReason.SLOW, "b": CheckReason.REFUSED, "k": CheckReason.BLIND}[kind],
        kind,
        degraded=kind == "s",
        unknown=kind == "k",
    )


def after(kinds: str) -> CheckStatus:
    status = initial(SPEC, 0)
    for i, kind in enumerate(kinds, 1):
        status = step(SPEC, status, result(kind, i * 1000))
    return status


@pytest.mark.parametrize(
    ("kinds", "state", "since_s", "failures"),
    [
        ("", "pending", 0, 0),
        ("g", "up", 1, 0),
        ("s", "degraded", 1, 0),
        ("gb", "up", 1, 1),
        ("gbb", "up", 1, 2),
        ("gbbb", "down", 4, 3),
        ("gbbg", "up", 1, 0),
        ("bbb", "down", 3, 3),
        ("bb", "pending", 0, 2),
        ("gbbbb", "down", 4, 4),
        ("gbbbg", "down", 4, 3),
        ("gbbbgg", "up", 6, 0),
        ("gbbbgb", "down", 4, 4),
        ("gbbbgbg", "down", 4, 4),
        ("gbbbgs", "degraded", 6, 0),
        ("gk", "unknown", 2, 0),
        ("gkg", "up", 3, 0),
        ("gbkb", "unknown", 3, 2),
        ("gbkbb", "down", 5, 3),
        ("gbbbkg", "down", 6, 3),
        ("gbbbkgg", "up", 7, 0),
    ],
)
def test_results_become_states(kinds: str, state: str, since_s: int, failures: int) -> None:
    status = after(kinds)
    assert (status.state.value, status.since_ms, status.consecutive_failures) == (state, since_s * 1000, failures)


@pytest.mark.parametrize(
    ("kinds", "soon"),
    [
        ("g", False),
        ("gb", True),
        ("gbb", True),
        ("gbbb", False),
        ("gbbbg", True),
        ("gbbbgg", False),
        ("gk", False),
        ("gbk", False),
    ],
)
def test_an_unconfirmed_change_is_looked_at_again_soon(kinds: str, soon: bool) -> None:
    assert recheck_delay_ms(SPEC, after(kinds)) == (5_000 if soon else 0)


@settings(max_examples=150, deadline=None)
@given(st.text("gsbk", max_size=25))
def test_laws(kinds: str) -> None:
    status = initial(SPEC, 0)
    for i, kind in enumerate(kinds, 1):
        before, status = status, step(SPEC, status, result(kind, i * 1000))
        entered_down = status.state is CheckState.DOWN and before.state not in (CheckState.DOWN, CheckState.UNKNOWN)
        if entered_down:
            assert [k for k in kinds[:i] if k != "k"][-3:] == ["b"] * 3, "DOWN needs three failures in a row"
        if kind == "k":
            assert status.state is CheckState.UNKNOWN
            assert status.consecutive_failures == before.consecutive_failures
        if before.state is status.state:
            assert status.since_ms == before.since_ms
        if before.state is CheckState.DOWN and status.state is CheckState.UP:
            assert [k for k in kinds[:i] if k != "k"][-2] in "gs", "one success is no recovery"


def test_pause_resume_and_blindness() -> None:
    stopped = paused(after("gbbb"), 9_000, by="ana")
    assert (stopped.state, stopped.message) == (CheckState.PAUSED, "paused by ana")
    assert step(SPEC, stopped, result("b", 10_000)).state is CheckState.PAUSED
    assert blind(stopped, 10_000, "x").state is CheckState.PAUSED
    assert resumed(stopped, 11_000).state is CheckState.PENDING
    assert blind(after("g"), 5_000, "no network").reason is CheckReason.BLIND


@pytest.mark.parametrize(
    ("places", "state"),
    [
        (("g", "g", "g"), "up"),
        (("bbb", "g", "g"), "degraded"),
        (("bbb", "bbb", "g"), "down"),
        (("bbb", "g"), "degraded"),
        (("bbb", "k"), "down"),
        (("k", "k"), "unknown"),
        (("k", "g", ""), "up"),
        (("", ""), "pending"),
    ],
)
def test_several_places_decide_by_majority_of_those_that_see(places: tuple[str, ...], state: str) -> None:
    assert overall("c", [after(kinds) for kinds in places], 0).state.value == state
