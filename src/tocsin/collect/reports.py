"""Reports of probers: each is counted once, dated by the core's clock, and bounded, whoever sends it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge
from tocsin.model.check import CheckResult
from tocsin.state import bulk
from tocsin.state.schema import probe_reports

log = get_log("collect.reports")

repeated_total = Counter("tocsin_collect_reports_repeated_total", "Reports that came again because their answer was lost.")
clock_skew = Gauge(
    "tocsin_collect_probe_clock_skew_seconds", "How far a probe's clock is behind (-: ahead of) ours.", ["location"]
)

LOCAL = "local"
_SKEW_MS = 2_000
"""Less is the way of the report, not the clock."""
_TELL_MS = 60_000
_OLDEST_MS = 25 * 3_600_000
"""An agent that was cut off tells what it saw meanwhile; a day of it is believed."""
_LONGEST_MS = 3_600_000.0
_RESERVED = ("tocsin_", "ALERTS", "scrape_")


@dataclass(frozen=True, slots=True)
class ReportId:
    """`number` counts up within the `session` that began with the prober; `sent_ms` is its clock, 0 = not told."""

    location: str
    session: str
    number: int
    sent_ms: int = 0


class Reports:
    """The last report of each place. All methods run on the core's loop."""

    def __init__(self, known: Iterable[ReportId]) -> None:
        self._last = {report.location: report for report in known}
        self._unsaved: set[str] = set()
        self._told: set[str] = set()

    def is_news(self, report: ReportId) -> bool:
        """False for a report we have; else it is remembered, for good with the next `unsaved`."""
        known = self._last.get(report.location)
        if known is not None and known.session == report.session and report.number <= known.number:
            repeated_total.inc()
            return False
        self._last[report.location] = report
        self._unsaved.add(report.location)
        return True

    def unsaved(self) -> list[ReportId]:
        """What must go into the next commit."""
        out = [self._last[location] for location in sorted(self._unsaved)]
        self._unsaved.clear()
        return out

    def not_saved(self, reports: Iterable[ReportId]) -> None:
        """That commit failed."""
        self._unsaved.update(report.location for report in reports)

    def skew_ms(self, report: ReportId | None, now_ms: int) -> int:
        """What to add to the times in a report: its clock may be wrong, ours is the one that everything is judged by."""
        if report is None or not report.sent_ms:
            return 0
        skew_ms = now_ms - report.sent_ms
        clock_skew.set(skew_ms / 1000, report.location)
        if abs(skew_ms) > _TELL_MS and report.location not in self._told:
            log.warning("a probe's clock is wrong; its results are dated by ours", location=report.location, behind_ms=skew_ms)
            self._told.add(report.location)
        elif abs(skew_ms) <= _SKEW_MS:
            self._told.discard(report.location)
        return skew_ms if abs(skew_ms) > _SKEW_MS else 0


def within_bounds(result: CheckResult, skew_ms: int, now_ms: int) -> CheckResult | None:
    """The result as it can be true: not in the future, not endless, no series of ours. None = too old to be told."""
    duration_ms = min(max(result.duration_ms, 0.0), _LONGEST_MS) if math.isfinite(result.duration_ms) else 0.0
    started_ms = min(result.started_ms + skew_ms, now_ms - round(duration_ms))
    if started_ms < now_ms - _OLDEST_MS:
        return None
    samples = result.samples
    if result.location != LOCAL:
        samples = tuple(sample for sample in samples if sample[0] != "up" and not sample[0].startswith(_RESERVED))
    return replace(result, started_ms=started_ms, duration_ms=duration_ms, samples=samples)


def load_reports(connection: Connection) -> list[ReportId]:
    return [ReportId(row.location, row.session, row.number) for row in connection.execute(sa.select(probe_reports))]


def save_reports(tx: Connection, reports: Iterable[ReportId], now_ms: int) -> None:
    rows = [{"location": r.location, "session": r.session, "number": r.number, "received_ms": now_ms} for r in reports]
    if not rows:
        return
    insert = bulk.insert(tx)(probe_reports)
    changed = {name: insert.excluded[name] for name in ("session", "number", "received_ms")}
    tx.execute(insert.on_conflict_do_update(index_elements=["location"], set_=changed), rows)
