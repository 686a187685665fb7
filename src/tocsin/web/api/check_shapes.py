"""What `/api/tocsin/v1/checks` answers, as values; shapes.py has all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LabelMap = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CheckRow:
    id: str
    name: str
    type: str
    target: str
    state: str
    since_ms: int
    reason: str
    message: str
    duration_ms: float | None
    last_ms: int
    next_ms: int
    every_ms: int
    failures: int
    failures_needed: int
    uptime: float | None
    strip: str
    labels: LabelMap
    source: str
    incident: int


@dataclass(frozen=True, slots=True)
class CheckChange:
    t_ms: int
    before: str
    after: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CheckRun:
    id: int
    started_ms: int
    ok: bool
    reason: str
    message: str
    manual_by: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Points:
    t_ms: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class CheckDetail(CheckRow):
    settings: Mapping[str, Any]
    last_result: Mapping[str, Any] | None
    runs: Sequence[CheckRun]
    changes: Sequence[CheckChange]
    uptime_by_window: Mapping[str, float | None]
    latency: Points
    runbook: str
    now_ms: int
    cursor: int
    etag: str = ""
    """What `If-Match` takes when it is paused, resumed or removed."""


@dataclass(frozen=True, slots=True)
class CheckList:
    now_ms: int
    cursor: int
    checks: Sequence[CheckRow]
    next: str
    window: str
    """Of `uptime` and `strip`: 24h, 7d, 30d or 90d."""
    p95_s: Mapping[str, float]
    """How long 95 of 100 runs took at most, by check; without those that were not measured."""
    p95_span_ms: int
