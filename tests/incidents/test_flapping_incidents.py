"""The incident that comes and goes: what counts as flapping, and how long a state must hold to be believed."""

from __future__ import annotations

from tocsin.incidents.flapping import Flaps, as_extra, begins, moved, of_extra, shown

MINUTE = 60_000


def after(*changes_min: float) -> Flaps:
    """Fires and ends in turn, at these minutes."""
    flaps = Flaps()
    for number, minute in enumerate(changes_min):
        flaps = moved(flaps, firing=number % 2 == 0, now_ms=round(minute * MINUTE) + 1)
    return flaps


def test_the_fourth_end_within_an_hour_begins_it() -> None:
    assert not begins(after(0, 3, 6, 9, 12, 15))
    assert not begins(after(0, 3, 6, 9, 12, 15, 18))
    assert begins(after(0, 3, 6, 9, 12, 15, 18, 21))


def test_ends_of_more_than_an_hour_ago_do_not_count() -> None:
    assert not begins(after(0, 10, 20, 30, 40, 50, 62, 71))
    assert begins(after(0, 8, 16, 24, 32, 40, 48, 56))


def test_being_seen_twice_in_one_state_is_no_change() -> None:
    flaps = after(0, 3)
    assert moved(flaps, firing=False, now_ms=10 * MINUTE) is flaps


def test_a_state_is_believed_after_a_quarter_of_an_hour_or_three_periods() -> None:
    assert after(0, 1, 2, 3, 4, 5, 6, 7).quiet_ms == 15 * MINUTE
    assert after(0, 5, 12, 17, 24, 29, 36, 41).quiet_ms == 36 * MINUTE


def test_it_is_kept_and_shown_with_its_reason() -> None:
    flaps = after(0, 3, 6, 9, 12, 15, 18, 21)
    kept = {"flaps": as_extra(flaps)}
    assert of_extra(kept) == flaps
    assert shown(kept) == ""
    flapping = {"flaps": {**as_extra(flaps), "since_ms": 1}}
    assert shown(flapping) == "fired and ended 4 times; well at the moment, told again once that has held 18m"
    assert shown({"flapping_alert": "changed 9 times"}) == "changed 9 times"
