"""What the API answers about services and objectives; `ui/src/lib/api.ts` repeats these names, as those of `shapes.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.web.api.check_shapes import CheckRow
from tocsin.web.api.shapes import AlertRow, IncidentRow, ServiceRow


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """A deploy, a new configuration, a silence: what may have made the difference."""

    t_ms: int
    kind: str
    actor: str
    text: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine(ServiceRow):
    """A service with every figure that the table of services can show. None = not measured."""

    client_error_ratio: float | None
    p50_s: float | None
    p99_s: float | None
    saturation: float | None
    saturated: str
    """What is fullest: `connection pool`, `file descriptors`."""
    depends_on: Sequence[str]
    last_change: ServiceChange | None


@dataclass(frozen=True, slots=True)
class ServiceList:
    now_ms: int
    cursor: int
    services: Sequence[ServiceLine]
    next: str


@dataclass(frozen=True, slots=True)
class ServiceLink:
    """A neighbour: what a service depends on, or what depends on it."""

    name: str
    state: str
    since_ms: int
    alerts: int
    known: bool
    """False = it is named in the configuration, and nothing is heard of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDetail(ServiceLine):
    known: bool
    dependencies: Sequence[ServiceLink]
    callers: Sequence[ServiceLink]
    check_rows: Sequence[CheckRow]
    alert_rows: Sequence[AlertRow]
    incidents: Sequence[IncidentRow | Mapping[str, Any]]
    """Open ones and the newest past ones."""
    now_ms: int
    cursor: int


@dataclass(frozen=True, slots=True)
class ServiceChanges:
    changes: Sequence[ServiceChange]
    """Newest first."""
    next: str


@dataclass(frozen=True, slots=True)
class SloRule:
    """A rule that watches an objective: `/alerts/rules/{group}/{rule}` is its page."""

    group: str
    rule: str
    window: str
    """The long one: `1h`, `6h` or `3d`."""
    severity: str


@dataclass(frozen=True, slots=True)
class SloRow:
    """An objective of the configuration and how it stands."""

    name: str
    service: str
    owner: str
    target: float
    check: str
    query: str
    """PromQL of the good share; `$window` in it stands for a stretch of time."""
    window_ms: int
    value: float | None
    """Good share over the window, 0..1."""
    value_before: float | None
    """Over the window before; only with `compare=prev`."""
    budget_left: float | None
    """1 = untouched, 0 = spent, below = missed."""
    burn: Mapping[str, float | None]
    """`1h`, `6h`, `3d` -> how many times faster than allowed."""
    gone_in_ms: int | None
    """Until the budget is spent at the pace of the last six hours; None = not within the window."""
    error: str
    pending: bool
    """Some figures are not there yet: ask again in a moment."""
    rules: Sequence[SloRule]
    """That fire when its budget burns too fast, quickest first; none without `alert:`."""


@dataclass(frozen=True, slots=True)
class SloList:
    now_ms: int
    slos: Sequence[SloRow]
    next: str
