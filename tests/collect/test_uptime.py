"""Uptime and strips from state changes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tocsin.collect.uptime import Change, period_bounds, strip, uptime_by_period, uptime_by_window, uptime_ratio
from tocsin.model.check import CheckState as S

DAY = 86_400_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], None),
        ([(0, S.UP)], 1.0),
        ([(0, S.UP), (50, S.DOWN)], 0.5),
        ([(0, S.UP), (50, S.UNKNOWN)], 1.0),
        ([(0, S.UNKNOWN), (50, S.UP), (75, S.DOWN)], 0.5),
        ([(0, S.DEGRADED), (90, S.DOWN)], 0.9),
        ([(-500, S.UP), (-400, S.DOWN), (25, S.UP)], 0.75),
        ([(0, S.PAUSED)], None),
    ],
)
def test_unknown_time_is_not_counted(changes: list[tuple[int, S]], expected: float | None) -> None:
    assert uptime_ratio([Change(*change) for change in changes], 0, 100) == expected


def test_a_strip_shows_the_worst_of_each_half_hour() -> None:
    half = 30 * 60_000
    now = 48 * half
    changes = [Change(half, S.UP), Change(10 * half + 5, S.DOWN), Change(10 * half + 60_000, S.UP), Change(47 * half, S.UNKNOWN)]
    text = strip(changes, now)
    assert len(text) == 48
    assert text == "-" + "u" * 9 + "d" + "u" * 36 + "k"


def test_windows_end_now() -> None:
    windows = uptime_by_window([Change(0, S.UP), Change(100 * DAY - DAY // 2, S.DOWN)], 100 * DAY)
    assert windows["24h"] == pytest.approx(0.5)
    assert windows["7d"] == pytest.approx(6.5 / 7)


def _ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=ZoneInfo("Europe/Paris")).timestamp() * 1000)


def test_days_are_those_of_the_zone_also_when_they_have_23_or_25_hours() -> None:
    now_ms = _ms(2026, 10, 26, 12)
    bounds = period_bounds("day", ZoneInfo("Europe/Paris"), now_ms, 3)
    assert bounds == [_ms(2026, 10, 24), _ms(2026, 10, 25), _ms(2026, 10, 26), _ms(2026, 10, 27)]
    assert bounds[2] - bounds[1] == 25 * 3_600_000


def test_months_and_years_begin_where_the_calendar_says() -> None:
    now_ms = _ms(2026, 2, 3)
    assert period_bounds("month", ZoneInfo("Europe/Paris"), now_ms, 3) == [
        _ms(2025, 12, 1), _ms(2026, 1, 1), _ms(2026, 2, 1), _ms(2026, 3, 1),
    ]  # fmt: skip
    assert period_bounds("year", UTC, now_ms, 2) == [1735689600000, 1767225600000, 1798761600000]


def test_uptime_by_period_leaves_unknown_time_and_the_future_out() -> None:
    changes = [Change(DAY // 2, S.UP), Change(DAY, S.UNKNOWN), Change(DAY + DAY // 2, S.UP), Change(DAY + 3 * DAY // 4, S.DOWN)]
    rows = uptime_by_period(changes, [0, DAY, 2 * DAY, 3 * DAY, 4 * DAY], 2 * DAY + DAY // 4)
    assert [(row.ratio, row.down_ms, row.unknown_ms) for row in rows] == [
        (1.0, 0, DAY // 2),
        (0.5, DAY // 4, DAY // 2),
        (0.0, DAY // 4, 0),
    ]
    assert rows[-1].end_ms == 2 * DAY + DAY // 4
    assert uptime_by_period([], [0, DAY], DAY)[0].ratio is None
