"""Uptime and strips from state changes."""

from __future__ import annotations

import pytest

from tocsin.collect.uptime import Change, strip, uptime_by_window, uptime_ratio
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
