"""Checks over longer spans than a day: uptime and strips of every check at once, and how slow each usually is.

Both are made for the whole list together and kept for a while: one browser or a hundred, and however often the list is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from tocsin.collect import uptime
from tocsin.errors import QueryError
from tocsin.model.check import CheckState
from tocsin.web.api.check_lines import histories
from tocsin.web.api.check_shapes import CheckRow
from tocsin.web.api.columns import by_label
from tocsin.web.desk import Desk
from tocsin.web.problem import Refused

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
USUAL = "24h"
CELLS: Mapping[str, tuple[int, int]] = {
    "24h": (48, _HOUR_MS // 2),
    "7d": (42, 4 * _HOUR_MS),
    "30d": (30, _DAY_MS),
    "90d": (90, _DAY_MS),
}
"""Slices of a strip and how long each is."""
_FRESH_MS = {"7d": 60_000, "30d": 300_000, "90d": 300_000}
"""100,000 changes of 2,000 checks in 90 days take a second to go through: not with each look at the list."""
_P95_FRESH_MS = 600_000
_P95_SPANS_MS = (6 * _HOUR_MS, _HOUR_MS)
"""The shorter one where the longer holds more samples than this process may look at."""
_SOON_S = 0.3


@dataclass(frozen=True, slots=True)
class Usual:
    """95 of 100 runs took no longer, in seconds by check."""

    span_ms: int
    values: Mapping[str, float]


@dataclass(slots=True)
class _Kept:
    t_ms: int
    of: Mapping[str, tuple[float | None, str]]


class CheckWindows:
    """What the list of checks shows besides their last day."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: dict[str, _Kept] = {}
        self._usual = Usual(_P95_SPANS_MS[0], {})
        self._usual_ms = 0
        self._asking: asyncio.Task[None] | None = None

    async def over(self, window: str, rows: Sequence[CheckRow]) -> Sequence[CheckRow]:
        """The rows with `uptime` and `strip` of that window. Raises Refused 400."""
        if window not in CELLS:
            raise Refused(400, "bad_window", f"window {window[:20]!r}: expected one of {', '.join(CELLS)}")
        if window == USUAL:
            return rows
        now_ms = self._desk.now_ms()
        kept = self._kept.get(window)
        known: Mapping[str, tuple[float | None, str]] = (
            kept.of if kept is not None and now_ms - kept.t_ms < _FRESH_MS[window] else {}
        )
        if any(row.id not in known for row in rows):
            ids = [row.id for row in rows]
            known = await self._desk.parts.database.read(lambda tx: over_window(tx, ids, window, now_ms))
            self._kept[window] = _Kept(now_ms, known)
        return [_over(row, *known[row.id]) for row in rows]

    async def usual(self) -> Usual:
        """p95 of every check; at first perhaps of none, until it was measured."""
        if self._asking is None and self._desk.now_ms() - self._usual_ms >= _P95_FRESH_MS:
            self._asking = asyncio.create_task(self._measure())
        if self._asking is not None and not self._usual_ms:
            await asyncio.wait([self._asking], timeout=_SOON_S)
        return self._usual

    async def _measure(self) -> None:
        try:
            now_ms = self._desk.now_ms()
            self._usual = await self._desk.queries.together(lambda: self._measured(now_ms))
            self._usual_ms = now_ms
        finally:
            self._asking = None

    def _measured(self, now_ms: int) -> Usual:
        for span_ms in _P95_SPANS_MS:
            query = f"max by (check) (quantile_over_time(0.95, probe_duration_seconds[{span_ms // _HOUR_MS}h]))"
            try:
                found = self._desk.light_engine.instant(query, now_ms)
            except QueryError:
                continue
            return Usual(span_ms, {check: value for (check,), value in by_label(found, "check").items()})
        return Usual(_P95_SPANS_MS[-1], {})


def _over(row: CheckRow, ratio: float | None, strip: str) -> CheckRow:
    return replace(row, uptime=ratio, strip=uptime.until_now(strip, CheckState(row.state)))


def over_window(tx: Connection, ids: Sequence[str], window: str, now_ms: int) -> dict[str, tuple[float | None, str]]:
    """Uptime and strip of each check; of 2,000 checks in one pass over the changes of that time."""
    cells, cell_ms = CELLS[window]
    since_ms = now_ms - cells * cell_ms
    found: dict[str, tuple[float | None, str]] = {}
    for check_id, history in histories(tx, ids, since_ms).items():
        strip = uptime.strip(history, now_ms, cells=cells, cell_ms=cell_ms)
        found[check_id] = (uptime.uptime_ratio(history, since_ms, now_ms), strip)
    return found
