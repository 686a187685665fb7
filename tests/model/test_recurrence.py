"""RRULEs in local time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tocsin.model.recurrence import Occurrences, parse_rrule

HOUR_MS = 3_600_000


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def window(rule: str, start: str, hours: float = 1, zone: str = "UTC") -> Occurrences:
    return Occurrences(parse_rrule(rule) if rule else None, datetime.fromisoformat(start), int(hours * HOUR_MS), zone)


@pytest.mark.parametrize(
    ("rule", "start", "inside", "outside"),
    [
        ("", "2026-01-05 22:00", ["2026-01-05 22:30"], ["2026-01-05 23:00", "2026-01-06 22:30", "2026-01-05 21:59"]),
        ("FREQ=DAILY", "2026-01-05 22:00", ["2026-01-05 22:00", "2026-03-01 22:59"], ["2026-01-04 22:00", "2026-01-06 21:00"]),
        ("FREQ=DAILY;INTERVAL=3", "2026-01-05 22:00", ["2026-01-08 22:00"], ["2026-01-06 22:00", "2026-01-07 22:00"]),
        ("FREQ=WEEKLY;BYDAY=SU", "2026-01-04 02:00", ["2026-01-11 02:30"], ["2026-01-10 02:30", "2026-01-12 02:30"]),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE",
            "2026-01-05 02:00",
            ["2026-01-07 02:00", "2026-01-19 02:00"],
            ["2026-01-12 02:00"],
        ),
        ("FREQ=MONTHLY;BYDAY=2TU", "2026-01-13 20:00", ["2026-02-10 20:00"], ["2026-02-03 20:00", "2026-02-17 20:00"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30 20:00", ["2026-02-27 20:00"], ["2026-02-20 20:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31 20:00", ["2026-02-28 20:00"], ["2026-02-27 20:00"]),
        ("FREQ=YEARLY", "2026-12-24 12:00", ["2027-12-24 12:00"], ["2027-12-23 12:00", "2027-01-24 12:00"]),
        ("FREQ=DAILY;COUNT=2", "2026-01-05 22:00", ["2026-01-06 22:00"], ["2026-01-07 22:00"]),
        ("FREQ=DAILY;UNTIL=20260106", "2026-01-05 22:00", ["2026-01-06 22:00"], ["2026-01-07 22:00"]),
    ],
)
def test_occurrences(rule: str, start: str, inside: list[str], outside: list[str]) -> None:
    occurrences = window(rule, start)
    assert all(occurrences.holding(at(text)) for text in inside)
    assert not any(occurrences.holding(at(text)) for text in outside)


def test_it_may_last_past_midnight() -> None:
    night = window("FREQ=DAILY", "2026-01-05 22:00", hours=10)
    assert night.holding(at("2026-01-07 05:00")) == (at("2026-01-06 22:00"), at("2026-01-07 08:00"))
    assert night.holding(at("2026-01-07 09:00")) is None


def test_wall_time_stays_when_the_clocks_change() -> None:
    nightly = window("FREQ=DAILY", "2026-03-01 04:00", zone="Europe/Berlin")
    assert nightly.holding(at("2026-03-28 04:30", "Europe/Berlin"))
    assert nightly.holding(at("2026-03-29 04:30", "Europe/Berlin"))


def test_a_skipped_wall_time_begins_after_the_gap() -> None:
    nightly = window("FREQ=DAILY", "2026-03-01 02:30", zone="Europe/Berlin")
    held = nightly.holding(at("2026-03-29 03:10", "Europe/Berlin"))
    assert held is not None
    assert datetime.fromtimestamp(held[0] / 1000, UTC) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FREQ=HOURLY",
        "FREQ=DAILY;BYSETPOS=1",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=WEEKLY;BYDAY=2MO",
        "DAILY",
    ],
)
def test_what_is_not_supported_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rrule(text)
