"""What is asked for: KPIs, SLOs and scheduled reports as settings; and which calendar period a report is about. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tocsin.incidents.oncall import resolve, wall_time

_DAY = timedelta(days=1)
Every = Literal["week", "month"]


@dataclass(frozen=True, slots=True)
class Kpi:
    """`expr` gives one value; `$window` in it is replaced by the time it is asked for. `target` None = only shown."""

    name: str
    expr: str
    target: float | None = None
    at_most: bool = False
    """The target is a ceiling, not a floor."""
    owner: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Slo:
    """A share of good: `expr` (0..1), or the uptime of `check`. The rest of `target` to 1 is the error budget."""

    name: str
    target: float
    expr: str = ""
    check: str = ""
    owner: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """One report that is made and sent by itself."""

    name: str
    every: Every = "week"
    weekday: int = 0
    """0 = Monday; of weekly reports. Monthly ones are made on the first."""
    minute: int = 480
    time_zone: str = "UTC"
    to: tuple[str, ...] = ()
    """Users and receivers."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    plans: tuple[ReportPlan, ...] = ()
    kpis: tuple[Kpi, ...] = ()
    slos: tuple[Slo, ...] = ()
    keep_ms: int = 0
    """How long reports are kept after they were made; 0 = for good."""
    zones: dict[str, str] = field(default_factory=dict)
    """Time zone of each person."""
    names: dict[str, str] = field(default_factory=dict)
    """Check id -> its name."""
    services: dict[str, str] = field(default_factory=dict)
    """Check id -> its service."""


def period(plan: ReportPlan, now_ms: int) -> tuple[int, int]:
    """The last whole week (from Monday) or month before `now_ms`, by the wall clock of the plan."""
    day = wall_time(now_ms, plan.time_zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if plan.every == "month":
        until = day.replace(day=1)
        since = (until - _DAY).replace(day=1)
    else:
        until = day - day.weekday() * _DAY
        since = until - 7 * _DAY
    return resolve(since, plan.time_zone), resolve(until, plan.time_zone)


def next_due(plan: ReportPlan, now_ms: int) -> int:
    """When the report is made next, after `now_ms`."""
    day = wall_time(now_ms, plan.time_zone).replace(hour=0, minute=0, second=0, microsecond=0)
    while not _is_day(plan, day) or _at(plan, day) <= now_ms:
        day += _DAY
    return _at(plan, day)


def _is_day(plan: ReportPlan, day: datetime) -> bool:
    return day.day == 1 if plan.every == "month" else day.weekday() == plan.weekday


def _at(plan: ReportPlan, day: datetime) -> int:
    return resolve(day + timedelta(minutes=plan.minute), plan.time_zone)
