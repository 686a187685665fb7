"""Objectives as they stand: the good share, what is left of the error budget, how fast it burns.

Long windows are dear and change slowly, short ones are cheap and matter at night: each figure is kept for as long as it may be
old, and one answer works at missing ones for a moment only. What is not there yet says so (`pending`) and comes with the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.collect.uptime import Change, uptime_ratio
from tocsin.errors import QueryError
from tocsin.model.check import CheckState
from tocsin.model.duration import duration_setting_ms
from tocsin.model.labels import quote
from tocsin.report.measure import budget_left, burn_rate, gone_in_ms, one_value, over_window
from tocsin.report.plan import Slo
from tocsin.state.schema import check_changes
from tocsin.web.answers import json_answer
from tocsin.web.api.moment import is_past, moment_of
from tocsin.web.api.rows import cut
from tocsin.web.api.service_shapes import SloList, SloRow, SloRule
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.problem import Refused

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
BURNS = {"1h": _HOUR_MS, "6h": 6 * _HOUR_MS, "3d": 3 * _DAY_MS}
_MONTH_MS = 30 * _DAY_MS
_LONGEST_MS = 366 * _DAY_MS
_AT_WORK_S = 1.5
_NOTHING_FOR_MS = 5_000
_MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of time of one objective: [end - length, end), `back_ms` before now."""

    slo: Slo
    length_ms: int
    back_ms: int = 0

    @property
    def fresh_ms(self) -> int:
        """A hundredth of the stretch moves no figure that anybody would read differently."""
        return min(600_000, max(15_000, self.length_ms // 100))


@dataclass(frozen=True, slots=True)
class _Good:
    """A measured share; `error` = why there is none."""

    value: float | None
    error: str = ""
    until_ms: int = 0


class Slos:
    """Handler of `/slos`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: dict[_Span, _Good] = {}
        self._lock = asyncio.Lock()

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [Endpoint(prefix + "/slos", self.list, permission=Permission.VIEWER, answer=SloList)]

    async def list(self, request: Request) -> Response:
        """Objectives of the file over `window` (`30d`), of one `service`; `compare=prev` = and the window before; `at` = then."""
        query, now_ms = request.query_params, self._desk.now_ms()
        at_ms, window_ms = moment_of(request, now_ms), _window(query.get("window", ""))
        compared = query.get("compare", "") == "prev"
        config: Mapping[str, Any] = await self._desk.state.try_ask("config.state", {})
        slos = [Slo(**raw) for raw in config.get("slos", ())]
        if service := query.get("service", ""):
            slos = [slo for slo in slos if slo.service == service]
        page, following = cut(slos, query, lambda slo: (slo.service, slo.name))
        wanted = [
            span
            for length_ms, back_ms in (*((ms, 0) for ms in BURNS.values()), (window_ms, 0), (window_ms, window_ms))
            if compared or not back_ms
            for span in (_Span(slo, length_ms, back_ms) for slo in page)
        ]
        if is_past(request):
            found = await self._measure(wanted, at_ms, {})
        else:
            async with self._lock:
                if len(self._kept) > _MOST_KEPT:
                    self._kept.clear()
                self._kept |= await self._measure(wanted, at_ms, self._kept)
                found = self._kept
        watching: Mapping[str, Sequence[Mapping[str, str]]] = config.get("slo_rules", {})
        rules = {name: [SloRule(**raw) for raw in rows] for name, rows in watching.items()}
        rows = [_row(slo, found, window_ms, rules.get(slo.name, ()), compared=compared) for slo in page]
        return await json_answer(request, SloList(now_ms, rows, following))

    async def _measure(self, wanted: Sequence[_Span], at_ms: int, kept: Mapping[_Span, _Good]) -> dict[_Span, _Good]:
        """What is wanted and not kept, the short stretches first, until the time is up; at least one."""
        missing = [span for span in wanted if span not in kept or kept[span].until_ms <= at_ms]
        engine, clock = self._desk.parts.engine, self._desk.parts.clock

        def ask() -> dict[_Span, _Good]:
            found: dict[_Span, _Good] = {}
            began_s = clock.monotonic_s()
            for span in missing:
                if span.slo.check:
                    continue
                try:
                    value = one_value(engine, over_window(span.slo.expr, span.length_ms), at_ms - span.back_ms)
                    # Where there is nothing yet there may be something at the next scrape, and nothing is quickly read.
                    fresh_ms = span.fresh_ms if value is not None else _NOTHING_FOR_MS
                    good = _Good(value, "" if value is not None else "no data in this time", at_ms + fresh_ms)
                except (QueryError, ValueError) as error:
                    good = _Good(None, str(error), at_ms + span.fresh_ms)
                found[span] = good
                if clock.monotonic_s() - began_s > _AT_WORK_S:
                    break
            return found

        found = await self._desk.queries.together(ask) if any(not span.slo.check for span in missing) else {}
        of_checks = [span for span in missing if span.slo.check]
        if of_checks:
            found |= await self._desk.parts.database.read(lambda tx: _uptimes(tx, of_checks, at_ms))
        return found


def _window(text: str) -> int:
    """Raises Refused 400."""
    if not text:
        return _MONTH_MS
    try:
        window_ms = duration_setting_ms(text)
    except ValueError:
        raise Refused(400, "bad_window", f"window: {text!r} is no duration such as 30d") from None
    if not _HOUR_MS <= window_ms <= _LONGEST_MS:
        raise Refused(400, "bad_window", "window: expected an hour at least and a year at most")
    return window_ms


def _uptimes(tx: Connection, spans: Sequence[_Span], at_ms: int) -> dict[_Span, _Good]:
    """As the reports count it: share of known time."""
    c = check_changes.c
    names = {span.slo.check for span in spans}
    changes: dict[str, list[Change]] = {}
    for row in tx.execute(sa.select(c.check_id, c.t_ms, c.after).where(c.check_id.in_(names), c.t_ms < at_ms).order_by(c.id)):
        changes.setdefault(row.check_id, []).append(Change(row.t_ms, CheckState(row.after)))
    found = {}
    for span in spans:
        end_ms = at_ms - span.back_ms
        value = uptime_ratio(changes.get(span.slo.check, ()), end_ms - span.length_ms, end_ms)
        error = "" if value is not None else f"nothing is known of the check {span.slo.check} in this time"
        found[span] = _Good(value, error, at_ms + 5_000)
    return found


def _row(slo: Slo, found: Mapping[_Span, _Good], window_ms: int, rules: Sequence[SloRule], *, compared: bool) -> SloRow:
    whole = found.get(_Span(slo, window_ms))
    before = found.get(_Span(slo, window_ms, window_ms)) if compared else None
    goods = {name: found.get(_Span(slo, length_ms)) for name, length_ms in BURNS.items()}
    burn = {name: burn_rate(good.value, slo.target) if good and good.value is not None else None for name, good in goods.items()}
    value = whole.value if whole else None
    left = None if value is None else budget_left(value, slo.target)
    pace = burn["6h"]
    return SloRow(
        name=slo.name,
        service=slo.service,
        owner=slo.owner,
        target=slo.target,
        check=slo.check,
        query=f"avg_over_time(probe_success{{check={quote(slo.check)}}}[$window])" if slo.check else slo.expr,
        window_ms=window_ms,
        value=value,
        value_before=before.value if before else None,
        budget_left=left,
        burn=burn,
        gone_in_ms=None if left is None or pace is None else gone_in_ms(left, pace, window_ms),
        error=whole.error if whole else "",
        pending=whole is None or (compared and before is None) or None in goods.values(),
        rules=rules,
    )
