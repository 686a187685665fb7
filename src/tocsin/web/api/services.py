"""Services: known from the label `service` of checks, alerts and metrics, and from what is declared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from typing import Any, Protocol

from tocsin.model.check import CheckState
from tocsin.web.api.metrics_view import MetricsView
from tocsin.web.api.scope import Scope
from tocsin.web.api.service_figures import ServiceMetrics
from tocsin.web.api.shapes import AlertRow, ServiceRow


class Judged(Protocol):
    """What is asked of a check."""

    @property
    def state(self) -> str: ...
    @property
    def since_ms(self) -> int: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


_ORDER = {"critical": 0, "warning": 1, "unknown": 2, "ok": 3}


def service_rows(
    checks: Sequence[Judged],
    alerts: Sequence[AlertRow],
    metrics: MetricsView,
    declared: Mapping[str, Mapping[str, Any]],
    severities: Sequence[str],
) -> list[ServiceRow]:
    """One row per service, the worst first, then those in trouble for longest."""
    checks_of: dict[str, list[Judged]] = defaultdict(list)
    for check in checks:
        if name := check.labels.get("service"):
            checks_of[name].append(check)
    alerts_of: dict[str, list[AlertRow]] = defaultdict(list)
    for alert in alerts:
        if alert.state != "pending" and (name := alert.labels.get("service")):
            alerts_of[name].append(alert)
    names = {*checks_of, *alerts_of, *metrics.services, *declared}
    rows = [
        _row(name, checks_of[name], alerts_of[name], metrics.services.get(name), declared.get(name, {}), severities)
        for name in names
    ]
    return sorted(rows, key=lambda row: (_ORDER[row.state], row.since_ms or 1 << 60, row.name))


def services_within(scope: Scope, rows: Sequence[ServiceRow], measured: Container[str]) -> list[ServiceRow]:
    """Rows made of what is in the scope, without those that are only declared and those that their declaration puts elsewhere.

    `measured`: services that metrics of the scope tell of.
    """
    declared = [fact for fact in ("owner", "tier") if any(getattr(row, fact) for row in rows)]

    def stays(row: ServiceRow) -> bool:
        verdict = scope.judge({"service": row.name, **{fact: getattr(row, fact) for fact in declared}})
        return (bool(row.checks) or row.alerts > 0 or row.name in measured) if verdict is None else verdict

    return [row for row in rows if stays(row)]


def _row(
    name: str,
    checks: Sequence[Judged],
    alerts: Sequence[AlertRow],
    figures: ServiceMetrics | None,
    declared: Mapping[str, Any],
    severities: Sequence[str],
) -> ServiceRow:
    figures = figures or ServiceMetrics()
    state = _state(checks, alerts, severities)
    starts = [alert.starts_at_ms for alert in alerts] + [check.since_ms for check in checks if check.state == CheckState.DOWN]
    return ServiceRow(
        name=name,
        state=state,
        since_ms=min(starts, default=0) if state != "ok" else 0,
        rate=figures.rate,
        error_ratio=figures.error_ratio,
        p95_s=figures.p95_s,
        checks=Counter(check.state for check in checks),
        alerts=len(alerts),
        trend=figures.trend,
        owner=str(declared.get("owner", "")),
        tier=str(declared.get("tier", "")),
        runbook=str(declared.get("runbook", "")),
        repository=str(declared.get("repository", "")),
    )


def _state(checks: Sequence[Judged], alerts: Sequence[AlertRow], severities: Sequence[str]) -> str:
    worst = severities[-1] if severities else "critical"
    states = {check.state for check in checks}
    if CheckState.DOWN in states or any(alert.severity == worst for alert in alerts):
        return "critical"
    if CheckState.DEGRADED in states or alerts:
        return "warning"
    # A service that was only just declared has shown nothing yet.
    unseen = bool(states) and states <= {CheckState.PENDING, CheckState.PAUSED}
    return "unknown" if CheckState.UNKNOWN in states or unseen else "ok"
