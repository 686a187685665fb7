"""Payments: success and failure by method and reason. Keep reasons few: a code, never a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Histogram

_total = Counter("payments", "Payments by outcome.", ["outcome", "reason", "method"])
_duration = Histogram(
    "payment_duration_seconds",
    "How long a payment took.",
    ["outcome", "method"],
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

_MOST_REASONS = 50
_reasons: set[str] = set()


def success(method: str = "") -> None:
    _total.labels("success", "", method).inc()


def failure(method: str = "", *, reason: str) -> None:
    """One failed payment; reasons beyond the first fifty are counted as `other`."""
    if reason not in _reasons and len(_reasons) < _MOST_REASONS:
        _reasons.add(reason)
    _total.labels("failure", reason if reason in _reasons else "other", method).inc()


@contextmanager
def attempt(method: str = "") -> Iterator[None]:
    """Times the block; an exception is a failure whose reason is the exception's name."""
    start = perf_counter()
    try:
        yield
    except Exception as error:
        failure(method, reason=type(error).__name__)
        _duration.labels("failure", method).observe(perf_counter() - start)
        raise
    success(method)
    _duration.labels("success", method).observe(perf_counter() - start)
