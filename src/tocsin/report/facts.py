"""Reads what a report needs: uptime from the checks' changes, daily values from the store, incidents from the state database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.collect.uptime import Change, spans, uptime_ratio
from tocsin.errors import QueryError
from tocsin.incidents.analytics import SELFTEST, analytics
from tocsin.model.check import CheckState
from tocsin.model.duration import format_duration
from tocsin.model.series import is_absent
from tocsin.promql.engine import Engine
from tocsin.report.measure import one_value, over_window
from tocsin.report.plan import ReportSettings, Slo
from tocsin.state.schema import check_changes, events, incidents

_DAY_MS = 86_400_000
_LATENCY = "quantile by (check) (0.5, quantile_over_time(0.5, probe_duration_seconds[1d]))"
_LATENCY_HIGH = "max by (check) (quantile_over_time(0.95, probe_duration_seconds[$window]))"


@dataclass(frozen=True, slots=True)
class Measured:
    """Daily values (NaN where there are none) and one for the whole time; `error` = why there is none."""

    days: tuple[float, ...] = ()
    whole: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class CheckFacts:
    id: str
    uptime: float | None
    down_ms: int
    outages: int
    latency: Measured
    latency_high: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """One period. `gaps` in knowledge stay gaps: None, NaN or an error, never a good value."""

    start_ms: int
    end_ms: int
    checks: Mapping[str, CheckFacts]
    kpis: Mapping[str, Measured]
    slos: Mapping[str, Measured]
    analytics: Mapping[str, Any]
    longest: Sequence[Mapping[str, Any]]
    whole: bool = True
    """Tocsin was there from the beginning of the period: its counts can be compared."""


def gather(tx: Connection, engine: Engine, settings: ReportSettings, start_ms: int, end_ms: int) -> Facts:
    """Read one period. Queries that fail become errors in their place; the rest of the report stands."""
    checks = _checks(tx, engine, start_ms, end_ms)
    return Facts(
        start_ms=start_ms,
        end_ms=end_ms,
        checks=checks,
        kpis={kpi.name: _measure(engine, kpi.expr, start_ms, end_ms) for kpi in settings.kpis},
        slos={slo.name: _slo(engine, slo, checks, start_ms, end_ms) for slo in settings.slos},
        analytics=analytics(tx, start_ms, end_ms, zones=settings.zones),
        longest=_longest(tx, start_ms, end_ms),
        whole=0 < int(tx.execute(sa.select(sa.func.min(events.c.t_ms))).scalar() or 0) <= start_ms,
    )


# -- checks --


def _checks(tx: Connection, engine: Engine, start_ms: int, end_ms: int) -> dict[str, CheckFacts]:
    changes: dict[str, list[Change]] = {}
    c = check_changes.c
    for row in tx.execute(sa.select(c.check_id, c.t_ms, c.after).where(c.t_ms < end_ms).order_by(c.id)):
        changes.setdefault(row.check_id, []).append(Change(row.t_ms, CheckState(row.after)))
    daily, high = _latencies(engine, start_ms, end_ms)
    found = {}
    for check_id, all_changes in changes.items():
        down = [(a, b) for state, a, b in spans(all_changes, start_ms, end_ms) if state is CheckState.DOWN]
        uptime = uptime_ratio(all_changes, start_ms, end_ms)
        if uptime is None and check_id not in daily:
            continue  # Nothing is known of it in this time: it did not exist yet, or not any more.
        found[check_id] = CheckFacts(
            id=check_id,
            uptime=uptime,
            down_ms=sum(b - a for a, b in down),
            outages=len(down),
            latency=Measured(daily.get(check_id, ())),
            latency_high=high.get(check_id),
        )
    return found


def _latencies(engine: Engine, start_ms: int, end_ms: int) -> tuple[dict[str, tuple[float, ...]], dict[str, float]]:
    """Per check: the median of each day, and the 95th percentile of the whole time, in seconds."""
    ends = _days(start_ms, end_ms)
    try:
        matrix = engine.range(_LATENCY, ends[0], ends[-1], _DAY_MS).matrix
        high = engine.instant(_LATENCY_HIGH.replace("$window", _window(start_ms, end_ms)), end_ms).vector
    except QueryError:
        return {}, {}
    daily: dict[str, tuple[float, ...]] = {}
    if matrix is not None:
        shown = np.where(is_absent(matrix.values), np.nan, matrix.values)
        daily = {labels.get("check", ""): tuple(map(float, row)) for labels, row in zip(matrix.labels, shown, strict=True)}
    if high is None:
        return daily, {}
    return daily, {labels.get("check", ""): float(value) for labels, value in zip(high.labels, high.values, strict=True)}


# -- expressions --


def _slo(engine: Engine, slo: Slo, checks: Mapping[str, CheckFacts], start_ms: int, end_ms: int) -> Measured:
    if not slo.check:
        return _measure(engine, slo.expr, start_ms, end_ms)
    check = checks.get(slo.check)
    if check is None or check.uptime is None:
        return Measured(error=f"nothing is known of the check {slo.check} in this time")
    return Measured(whole=check.uptime)


def _measure(engine: Engine, expr: str, start_ms: int, end_ms: int) -> Measured:
    """The expression for each day and for the whole time."""
    try:
        days = tuple(one_value(engine, over_window(expr, _DAY_MS), t_ms) for t_ms in _days(start_ms, end_ms))
        whole = one_value(engine, over_window(expr, end_ms - start_ms), end_ms)
    except (QueryError, ValueError) as error:
        return Measured(error=str(error))
    known = [value for value in days if value is not None]
    if whole is None:
        return Measured(error="no data in this time")
    return Measured(tuple(float("nan") if value is None else value for value in days) if known else (), whole)


def _days(start_ms: int, end_ms: int) -> list[int]:
    """Ends of the days of the period, counted back from its end; at least one."""
    return list(range(end_ms, start_ms, -_DAY_MS))[::-1] or [end_ms]


def _window(start_ms: int, end_ms: int) -> str:
    return format_duration(end_ms - start_ms)


# -- incidents --


def _longest(tx: Connection, start_ms: int, end_ms: int, *, most: int = 5) -> list[dict[str, Any]]:
    """The incidents of the period that took longest; open ones count to its end."""
    c = incidents.c
    query = sa.select(c.number, c.title, c.severity, c.service, c.created_ms, c.resolved_ms, c.remediation).where(
        c.created_ms >= start_ms, c.created_ms < end_ms, c.state != "merged", c.receiver != SELFTEST, c.listed
    )
    rows = [
        {
            "number": row.number,
            "title": row.title,
            "severity": row.severity,
            "service": row.service,
            "created_ms": row.created_ms,
            "resolved_ms": row.resolved_ms,
            "lasted_ms": (row.resolved_ms or end_ms) - row.created_ms,
            "what_was_done": str(row.remediation.get("summary") or row.remediation.get("action") or ""),
        }
        for row in tx.execute(query)
    ]
    return sorted(rows, key=lambda row: -row["lasted_ms"])[:most]
