"""Celery: `instrument()` in the worker: every task is a job."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from tocsin_instrument.jobs import ended

_started: dict[str, float] = {}


def instrument(_app: Any = None) -> None:
    """Count and time every task of this worker. Call once, where the Celery application is made."""
    from celery import signals

    signals.task_prerun.connect(_begin, weak=False)
    signals.task_postrun.connect(_end, weak=False)


def _begin(task_id: str = "", **_more: Any) -> None:
    _started[task_id] = perf_counter()


def _end(task_id: str = "", task: Any = None, state: str = "", **_more: Any) -> None:
    start = _started.pop(task_id, None)
    if start is not None:
        ended(getattr(task, "name", "unknown"), "success" if state == "SUCCESS" else "failure", perf_counter() - start)
