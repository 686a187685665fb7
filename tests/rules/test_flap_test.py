"""The flap test: Nagios's weights and thresholds, and how long it must be quiet."""

from __future__ import annotations

import pytest

from tocsin.model.labels import Labels
from tocsin.rules.flapping import RESULTS, Flap, observe, observe_all, quiet_ms

STEP_MS = 15_000
A = Labels({"alertname": "A"})


def after(results: str) -> Flap:
    """What is remembered after these results (1 = TRUE), from rest."""
    flap = Flap(results=1 << RESULTS)
    for number, result in enumerate(results, 1):
        flap = observe(flap, result == "1", number * STEP_MS, STEP_MS)
    return flap


def test_a_change_weighs_from_three_to_five_quarters_of_a_twentieth() -> None:
    assert after("0" * 20 + "1").percent == pytest.approx(1.25 / 20 * 100)
    assert after("0" * 20 + "1" * 20).percent == pytest.approx(0.75 / 20 * 100)
    assert after("0" * 20 + "1" * 21).percent == 0
    assert after("01" * 15).percent == pytest.approx(100)


def test_it_begins_at_thirty_percent() -> None:
    five, six = after("1" * 21 + "01010"), after("1" * 21 + "010101")
    assert (five.percent < 30, five.since_ms) == (True, 0)
    assert six.percent >= 30
    assert six.since_ms == 27 * STEP_MS


def test_it_ends_when_it_was_quiet_for_long_enough() -> None:
    flapping = after("1" * 21 + "010101")
    quiet = flapping
    for number in range(1, quiet_ms(STEP_MS) // STEP_MS):
        quiet = observe(quiet, True, flapping.evaluated_ms + number * STEP_MS, STEP_MS)
    assert quiet.since_ms
    assert not observe(quiet, True, quiet.evaluated_ms + STEP_MS, STEP_MS).since_ms


def test_evaluations_that_were_left_out_count_as_the_one_before_them() -> None:
    flap = after("1" * 21 + "010101")
    jumped = observe(flap, True, flap.evaluated_ms + 30 * STEP_MS, STEP_MS)
    assert jumped.percent == 0


def test_what_cannot_be_judged_is_no_result_and_what_rests_is_forgotten() -> None:
    flaps = observe_all({}, [A], [], STEP_MS, STEP_MS)
    unknown = observe_all(flaps, [], [A], 2 * STEP_MS, STEP_MS)
    assert unknown[A].results == flaps[A].results
    for number in range(3, 30):
        unknown = observe_all(unknown, [], [], number * STEP_MS, STEP_MS)
    assert unknown == {}


def test_slow_rules_wait_for_three_of_their_own_periods() -> None:
    assert quiet_ms(15_000) == 900_000
    assert quiet_ms(60_000) == 1_200_000
