"""Results and states of checks as samples, under blackbox_exporter's names where it has one (specs: metric names)."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.collect.catalog import check_types
from tocsin.collect.series_writer import SeriesWriter
from tocsin.model.check import CheckResult, CheckSpec, CheckState, CheckStatus
from tocsin.model.labels import METRIC_NAME, Labels

_STATES = (CheckState.UP, CheckState.DEGRADED, CheckState.DOWN, CheckState.UNKNOWN, CheckState.PAUSED)
_MOST_SAMPLES = 500
"""Of one result: a check that invents thousands of series is cut, not believed."""

HELP = {
    "probe_success": ("gauge", "Whether the check succeeded; absent while unknown."),
    "probe_duration_seconds": ("gauge", "How long the check took."),
    "probe_http_status_code": ("gauge", "HTTP status of the answer."),
    "probe_http_duration_seconds": ("gauge", "Duration of an HTTP check by phase, over all redirects."),
    "probe_ssl_earliest_cert_expiry": ("gauge", "When the first certificate of the chain expires, Unix time."),
    "tocsin_check_state": ("gauge", "State of a check: exactly one is 1."),
    "tocsin_check_consecutive_failures": ("gauge", "Failures in a row."),
    "tocsin_check_start_lag_seconds": ("gauge", "How much later than planned the check started."),
    "tocsin_heartbeat_last_seconds": ("gauge", "When the heartbeat was last heard, Unix time."),
    "tocsin_heartbeat_run_duration_seconds": ("gauge", "How long the last run took, from its start signal to its end."),
}


def base_labels(spec: CheckSpec) -> dict[str, str]:
    return {**spec.labels, "check": spec.id, "type": spec.type, "instance": spec.target}


def write_result(series: SeriesWriter, spec: CheckSpec, result: CheckResult, at_ms: int) -> None:
    """Samples of one execution; series that this result does not have any more end here."""
    common = {**base_labels(spec), "location": result.location}
    values: dict[Labels, float] = {}
    if not result.unknown:
        values[_series("probe_success", common)] = float(result.ok)
        if up_series := check_types()[spec.type].up_series:
            values[_series(up_series, common)] = float(result.ok)
    values[_series("probe_duration_seconds", common)] = result.duration_ms / 1000
    values[_series("tocsin_check_start_lag_seconds", common)] = result.start_lag_ms / 1000
    for name, labels, value in result.samples[:_MOST_SAMPLES]:
        values[_series(name, {**labels, **common})] = float(value)
    series.write(("result", spec.id, result.location), values, at_ms)


def write_state(series: SeriesWriter, spec: CheckSpec, status: CheckStatus, at_ms: int) -> None:
    """The state of a check, as rules read it."""
    common = base_labels(spec)
    values = {_series("tocsin_check_state", {**common, "state": state.value}): float(status.state is state) for state in _STATES}
    values[_series("tocsin_check_consecutive_failures", common)] = float(status.consecutive_failures)
    series.write(("state", spec.id, ""), values, at_ms)


def _series(name: str, labels: Mapping[str, str]) -> Labels:
    return Labels({**labels, METRIC_NAME: name})
