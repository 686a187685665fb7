"""Uptime from state changes. Pure. Unknown, paused and pending time is not counted, neither as up nor as down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


WINDOWS_MS = {"24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000, "90d": 90 * 86_400_000}


def uptime_by_window(changes: Sequence[Change], now_ms: int) -> dict[str, float | None]:
    """Uptime over the windows that the dashboard shows."""
    return {name: uptime_ratio(changes, now_ms - span_ms, now_ms) for name, span_ms in WINDOWS_MS.items()}
