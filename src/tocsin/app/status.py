"""What the core says about itself: to `tocsin status`, to the dashboard, to the configuration page."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin import __version__
from tocsin.app.configuration import Configuration
from tocsin.app.supervise import loop_lag_seconds
from tocsin.app.values import spec_to_json
from tocsin.errors import Problem
from tocsin.model.check import CheckSpec, CheckStatus
from tocsin.model.incident import IncidentState
from tocsin.state.schema import incidents, notifications

if TYPE_CHECKING:
    from tocsin.app.core import Core


def check_rows(specs: Iterable[CheckSpec], statuses: Mapping[str, CheckStatus]) -> list[dict[str, Any]]:
    """Definition and state of every check, merged; settings may hold secrets and stay here."""
    rows = []
    for spec in specs:
        row = spec_to_json(spec)
        row.pop("settings")
        found = statuses.get(spec.id)
        if found is not None:
            row |= {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
        rows.append(row)
    return rows


def problem_row(problem: Problem) -> dict[str, Any]:
    return {"place": str(problem.place), "path": problem.path, "message": problem.message, "warning": problem.warning}


def config_state(configuration: Configuration) -> dict[str, Any]:
    config = configuration.config
    return {
        "files": list(config.files),
        "ok": not configuration.problems,
        "problems": [problem_row(problem) for problem in (*configuration.problems, *config.warnings)],
        "loaded_ms": configuration.loaded_ms,
        "yaml": config.text,
        "nobody_paged": config.nobody_paged,
        "severities": list(config.severities),
        "external_url": config.external_url,
        "services": [service.model_dump() for service in config.services],
    }


async def status(core: Core, configuration: Configuration, processes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Everything `tocsin status` prints; `processes` is what probe and web reported last."""
    now_ms = core.clock.now_ms()
    counts = await core.db.read(_counts)
    store = core.store.stats()
    rules = core.evaluator.summary()
    return {
        "version": __version__,
        "host": socket.gethostname(),
        "now_ms": now_ms,
        "started_ms": core.started_ms,
        "last_evaluation_ms": rules["last_evaluation_ms"],
        "last_sample_ms": store["last_sample_ms"],
        "processes": [_own_row(core), *(_reported_row(row) for row in processes.values())],
        "collectors": _collectors(core, configuration),
        "facts": [
            f"{store['series']:,} series, {store['bytes'] / 1e6:.1f} MB on disk",
            f"{rules['groups']} rule groups, {rules['rules']} rules, {rules['failing']} failing",
            f"{counts['open']} open incidents",
            f"{counts['waiting']} notifications waiting, {counts['failed']} failed in the last day",
        ],
        "problems": [str(problem) for problem in (*configuration.problems, *configuration.config.warnings)],
        "counts": counts,
        "store": store,
    }


def _own_row(core: Core) -> dict[str, Any]:
    return {
        "name": "core",
        "pid": os.getpid(),
        "restarts": core.restarts,
        "started_ms": core.started_ms,
        "lag_ms": loop_lag_seconds.value("core") * 1000,
        "rss_bytes": psutil.Process().memory_info().rss,
    }


def _reported_row(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        sample.name: sample.value
        for family in row["families"]
        if family.name in ("tocsin_event_loop_lag_seconds", "tocsin_process_resident_bytes")
        for sample in family.samples
    }
    return {
        "name": row["name"],
        "pid": row["pid"],
        "restarts": row["restarts"],
        "started_ms": 0,
        "lag_ms": found.get("tocsin_event_loop_lag_seconds", 0.0) * 1000,
        "rss_bytes": found.get("tocsin_process_resident_bytes", 0.0),
    }


def _collectors(core: Core, configuration: Configuration) -> list[dict[str, Any]]:
    """Each collector with when it last brought something and its last error."""
    rows: list[dict[str, Any]] = [
        {"name": "host", "state": "up", "last_ms": core.host.last_ms, "error": core.host.last_error},
        {"name": "tocsin", "state": "up", "last_ms": core.own.last_ms, "error": core.own.last_error},
    ]
    for target in core.scraper.rows():
        rows.append({"name": f"scrape {target['job']} {target['instance']}", **target})
    statuses = core.receiver.statuses()
    for spec in configuration.config.checks:
        found = statuses.get(spec.id)
        if found is not None:
            failed = found.state.value in ("down", "degraded", "unknown")
            error = found.message if failed else ""
            rows.append({"name": f"check {spec.id}", "state": found.state.value, "last_ms": found.last_ms, "error": error})
    return rows


def _counts(connection: Connection) -> dict[str, int]:
    open_states = [state.value for state in IncidentState if state.open]
    count = sa.func.count()

    def number(query: Any) -> int:
        return int(connection.execute(query).scalar() or 0)

    newest = number(sa.select(sa.func.max(notifications.c.created_ms)))
    return {
        "open": number(sa.select(count).select_from(incidents).where(incidents.c.state.in_(open_states))),
        "waiting": number(
            sa.select(count).select_from(notifications).where(notifications.c.state.in_(["pending", "sending", "held"]))
        ),
        "failed": number(
            sa.select(count)
            .select_from(notifications)
            .where(notifications.c.state.in_(["failed", "expired"]), notifications.c.created_ms > newest - 86_400_000)
        ),
    }
