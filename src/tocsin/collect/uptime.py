"""Uptime from state changes. Pure. Unknown, paused and pending time is not counted, neither as up nor as down."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

from tocsin.model.check import CheckState

STRIP_CELL_MS = 30 * 60_000
STRIP_CELLS = 48

_LETTERS = {
    CheckState.UP: "u",
    CheckState.DEGRADED: "g",
    CheckState.DOWN: "d",
    CheckState.UNKNOWN: "k",
    CheckState.PAUSED: "p",
    CheckState.PENDING: "-",
}
# The worst of a cell is shown: a minute of DOWN must not hide behind 29 good ones.
_WORST_FIRST = "dgkup-"


@dataclass(frozen=True, slots=True)
class Change:
    """From `t_ms` on the state is `after`."""

    t_ms: int
    after: CheckState


def spans(changes: Sequence[Change], start_ms: int, end_ms: int) -> Iterator[tuple[CheckState, int, int]]:
    """(state, from, to) that fill [start, end) from the first change on. `changes` ascend and begin before start if known."""
    for i, change in enumerate(changes):
        until_ms = changes[i + 1].t_ms if i + 1 < len(changes) else end_ms
        from_ms, to_ms = max(change.t_ms, start_ms), min(until_ms, end_ms)
        if from_ms < to_ms:
            yield change.after, from_ms, to_ms


def uptime_ratio(changes: Sequence[Change], start_ms: int, end_ms: int) -> float | None:
    """Share of known time that was UP or DEGRADED, 0..1; None when nothing is known."""
    up_ms = down_ms = 0
    for state, from_ms, to_ms in spans(changes, start_ms, end_ms):
        if state in (CheckState.UP, CheckState.DEGRADED):
            up_ms += to_ms - from_ms
        elif state is CheckState.DOWN:
            down_ms += to_ms - from_ms
    return up_ms / (up_ms + down_ms) if up_ms + down_ms else None


def strip(changes: Sequence[Change], now_ms: int, *, cells: int = STRIP_CELLS, cell_ms: int = STRIP_CELL_MS) -> str:
    """One letter per cell, oldest first, the last cell ends now: the worst state of the cell, `-` where nothing is known."""
    start_ms = now_ms - cells * cell_ms
    letters = ["-"] * cells
    for state, from_ms, to_ms in spans(changes, start_ms, now_ms):
        letter = _LETTERS[state]
        for i in range((from_ms - start_ms) // cell_ms, (to_ms - 1 - start_ms) // cell_ms + 1):
            if _WORST_FIRST.index(letter) < _WORST_FIRST.index(letters[i]):
                letters[i] = letter
    return "".join(letters)


def until_now(letters: str, state: CheckState) -> str:
    """A strip that was made a moment ago, with the state of now in its last cell."""
    letter = _LETTERS[state]
    worse = _WORST_FIRST.index(letter) < _WORST_FIRST.index(letters[-1])
    return letters[:-1] + letter if worse else letters


WINDOWS_MS = {"24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000, "90d": 90 * 86_400_000}


def uptime_by_window(changes: Sequence[Change], now_ms: int) -> dict[str, float | None]:
    """Uptime over the windows that the dashboard shows."""
    return {name: uptime_ratio(changes, now_ms - span_ms, now_ms) for name, span_ms in WINDOWS_MS.items()}


Period = Literal["day", "month", "year"]
PERIODS: tuple[Period, ...] = ("day", "month", "year")


@dataclass(frozen=True, slots=True)
class PeriodUptime:
    """One calendar period, cut at now. `ratio` is over known time, None where nothing is known."""

    start_ms: int
    end_ms: int
    ratio: float | None
    down_ms: int
    unknown_ms: int
    """Unknown, paused, pending, or before the check existed."""


def uptime_by_period(changes: Sequence[Change], bounds: Sequence[int], now_ms: int) -> list[PeriodUptime]:
    """Uptime between each two of the ascending `bounds`; what lies in the future is left out."""
    out = []
    for start_ms, next_ms in itertools.pairwise(bounds):
        end_ms = min(next_ms, now_ms)
        if end_ms <= start_ms:
            break
        known = down = 0
        for state, from_ms, to_ms in spans(changes, start_ms, end_ms):
            if state in (CheckState.UP, CheckState.DEGRADED, CheckState.DOWN):
                known += to_ms - from_ms
                down += to_ms - from_ms if state is CheckState.DOWN else 0
        ratio = (known - down) / known if known else None
        out.append(PeriodUptime(start_ms, end_ms, ratio, down, end_ms - start_ms - known))
    return out


def period_bounds(period: Period, zone: tzinfo, now_ms: int, count: int) -> list[int]:
    """Beginnings of the last `count` days, months or years in that zone, the running one last, and the beginning of the next."""
    now = datetime.fromtimestamp(now_ms / 1000, zone)
    if period == "day":
        days = range(now.toordinal() - count + 1, now.toordinal() + 2)
        dates = [datetime.fromordinal(day).replace(tzinfo=zone) for day in days]
    elif period == "month":
        months = range(now.year * 12 + now.month - count, now.year * 12 + now.month + 1)
        dates = [datetime(month // 12, month % 12 + 1, 1, tzinfo=zone) for month in months]
    else:
        dates = [datetime(year, 1, 1, tzinfo=zone) for year in range(now.year - count + 1, now.year + 2)]
    return [int(date.timestamp() * 1000) for date in dates]
