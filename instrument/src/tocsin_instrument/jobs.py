"""Background jobs and cron jobs: runs, durations, last success; and the heartbeat that says "I ran"."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, time

from prometheus_client import Counter, Gauge, Histogram

runs = Counter("job_runs", "Runs of background jobs by outcome.", ["job_name", "outcome"])
duration = Histogram(
    "job_duration_seconds",
    "How long a run took.",
    ["job_name"],
    buckets=(0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0),
)
last_success = Gauge(
    "job_last_success_timestamp_seconds", "When the job last succeeded, Unix time.", ["job_name"], multiprocess_mode="max"
)


@contextmanager
def run(name: str, *, heartbeat_url: str | None = None) -> Iterator[None]:
    """Counts and times the block; with a URL also tells Tocsin of start, success and failure."""
    start = perf_counter()
    if heartbeat_url:
        heartbeat(heartbeat_url, "start")
    try:
        yield
    except BaseException as error:
        ended(name, "failure", perf_counter() - start)
        if heartbeat_url:
            heartbeat(heartbeat_url, "fail", f"{type(error).__name__}: {error}")
        raise
    ended(name, "success", perf_counter() - start)
    if heartbeat_url:
        heartbeat(heartbeat_url)


def ended(name: str, outcome: str, seconds: float) -> None:
    """Record one run."""
    runs.labels(name, outcome).inc()
    duration.labels(name).observe(seconds)
    if outcome == "success":
        last_success.labels(name).set(time())


def heartbeat(url: str, kind: str = "success", body: str = "", *, timeout: float = 10.0) -> bool:
    """Call a heartbeat's URL; True when it was heard. Never raises: the job matters more than its watcher."""
    address = url if kind == "success" else f"{url.rstrip('/')}/{kind}"
    try:
        request = urllib.request.Request(address, data=body[:10_000].encode(), method="POST")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return bool(200 <= answer.status < 300)
    except (OSError, ValueError):
        return False
