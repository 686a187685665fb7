"""What the core says about itself: to `tocsin status`, to the dashboard, to the configuration page."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin import __version__
from tocsin.app import alive
from tocsin.app.configuration import Configuration
from tocsin.app.statuspages import pages_of
from tocsin.app.supervise import loop_lag_seconds
from tocsin.app.values import spec_to_json
from tocsin.config.secrets import hide_secrets
from tocsin.errors import Problem
from tocsin.metrics import REGISTRY, Family
from tocsin.model.check import CheckSpec, CheckStatus
from tocsin.model.incident import IncidentState
from tocsin.rules.objectives import rules_by_objective
from tocsin.state.schema import incidents, notifications

if TYPE_CHECKING:
    from tocsin.app.core import Core


_STATUS_FIELDS = tuple(field.name for field in dataclasses.fields(CheckStatus))


class CheckRows:
    """Definition and state of every check, merged; secrets in settings are hidden. Definitions are made ready once."""

    def __init__(self) -> None:
        self._ready: dict[str, tuple[CheckSpec, dict[str, Any]]] = {}

    def of(self, specs: Sequence[CheckSpec], statuses: Mapping[str, CheckStatus]) -> list[dict[str, Any]]:
        self._ready = {spec.id: self._definition(spec) for spec in specs}
        return [_merged(row, statuses.get(spec.id)) for spec, row in self._ready.values()]

    def _definition(self, spec: CheckSpec) -> tuple[CheckSpec, dict[str, Any]]:
        kept = self._ready.get(spec.id)
        if kept is not None and kept[0] is spec:
            return kept
        return spec, spec_to_json(spec) | {"settings": hide_secrets(dict(spec.settings))}


def check_rows(specs: Sequence[CheckSpec], statuses: Mapping[str, CheckStatus]) -> list[dict[str, Any]]:
    """As `CheckRows`, for a few checks once."""
    return CheckRows().of(specs, statuses)


def _merged(row: Mapping[str, Any], found: CheckStatus | None) -> dict[str, Any]:
    return {**row, **{name: getattr(found, name) for name in _STATUS_FIELDS}} if found is not None else dict(row)


def brief(core: Core) -> dict[str, Any]:
    """Whether the core works, for every open page every few seconds: cheap however much is watched. Samples that only came by
    push are not looked at."""
    return {
        "host": socket.gethostname(),
        "started_ms": core.started_ms,
        "last_evaluation_ms": core.evaluator.last_evaluation_ms(),
        "last_sample_ms": max(
            core.scraper.last_ms(), core.receiver.last_ms(), *(row["last_ms"] for row in _own_collectors(core))
        ),
        "store": {"unwritten": core.store.stats()["unwritten"]},
    }


def problem_row(problem: Problem) -> dict[str, Any]:
    return {"place": str(problem.place), "path": problem.path, "message": problem.message, "warning": problem.warning}


def config_state(configuration: Configuration) -> dict[str, Any]:
    config = configuration.config
    return {
        "files": list(config.files),
        "ok": not configuration.problems,
        "problems": [problem_row(problem) for problem in (*configuration.problems, *config.said())],
        "loaded_ms": configuration.loaded_ms,
        "yaml": config.text,
        "nobody_paged": config.nobody_paged,
        "scrape_jobs": [job.name for job in config.jobs],
        "dead_man": bool(config.dead_man_url),
        "drill": config.drill is not None,
        "severities": list(config.severities),
        "external_url": config.external_url,
        "external_labels": dict(config.external_labels),
        "features": list(config.features),
        "web": config.web.model_dump(),
        "status_pages": pages_of(config, configuration.clock.now_ms()),
        "dashboards": [board.model_dump() for board in config.dashboards],
        "services": {service.name: service.model_dump() for service in config.services},
        "slos": [dataclasses.asdict(slo) for slo in config.slos],
        "slo_rules": rules_by_objective(config.rule_groups),
    }


async def status(core: Core, configuration: Configuration, processes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Everything `tocsin status` prints; `processes` is what probe and web reported last."""
    now_ms = core.clock.now_ms()
    counts = await core.db.read(_counts)
    store: dict[str, Any] = dict(core.store.stats())
    collectors = await asyncio.to_thread(_collectors, core, configuration)
    rules = _rules(core.evaluator.state()["groups"])
    return {
        "version": __version__,
        "host": socket.gethostname(),
        "now_ms": now_ms,
        "started_ms": core.started_ms,
        "last_evaluation_ms": rules["last_evaluation_ms"],
        "last_sample_ms": max((row["last_ms"] for row in collectors), default=0),
        "processes": [_own_row(core), *(_reported_row(row) for row in processes.values())],
        "collectors": collectors,
        "metrics": await asyncio.to_thread(
            _figures, [*REGISTRY.collect(), *(f for row in processes.values() for f in row["families"])]
        ),
        "facts": [
            f"{store['series']:,} series, {store['head_chunk_bytes'] / 1e6:.1f} MB of head chunks",
            f"{rules['groups']} rule groups, {rules['rules']} rules, {rules['failing']} failing",
            f"{counts['open']} open incidents",
            f"{counts['waiting']} notifications waiting, {counts['failed']} failed in the last day",
            *([f"Slack Socket Mode: {slack}"] if (slack := core.slack_socket.state()) else []),
        ],
        "problems": [
            str(problem) for problem in (*configuration.problems, *configuration.config.faults, *configuration.config.warnings)
        ],
        "counts": counts,
        "store": store,
        "disk": await asyncio.to_thread(_disk, core.store.path),
        "path": [dataclasses.asdict(hop) for hop in await alive.path(core)],
        "dead_man": core.dead_man.state(),
        "ways": await core.routine.ways(),
    }


def _figures(families: Iterable[Family]) -> dict[str, float]:
    """Our own metrics as one number each: counters summed over labels and processes, gauges where there is just one sample."""
    samples: dict[str, list[float]] = {}
    counters = set()
    for family in families:
        if family.kind in ("counter", "gauge"):
            samples.setdefault(family.name, []).extend(sample.value for sample in family.samples)
        if family.kind == "counter":
            counters.add(family.name)
    return {name: sum(values) for name, values in sorted(samples.items()) if values and (name in counters or len(values) == 1)}


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
        "started_ms": row.get("started_ms", 0),
        "lag_ms": found.get("tocsin_event_loop_lag_seconds", 0.0) * 1000,
        "rss_bytes": found.get("tocsin_process_resident_bytes", 0.0),
    }


def _disk(folder: Path) -> dict[str, Any]:
    """The file system that the store is on. `mount` as the host's own metrics call it."""
    usage, mount = psutil.disk_usage(str(folder)), folder.resolve()
    while not mount.is_mount():
        mount = mount.parent
    return {"mount": str(mount), "total_bytes": usage.total, "free_bytes": usage.free}


def _collectors(core: Core, configuration: Configuration) -> list[dict[str, Any]]:
    """Each collector with when it last brought something and its last error."""
    rows = [*_own_collectors(core), *(_target_row(target) for target in core.scraper.targets()["activeTargets"])]
    rows += [
        {"name": f"scrape {job}", "state": "unknown", "last_ms": 0, "error": text}
        for job, text in core.scraper.problems().items()
    ]
    statuses = core.receiver.statuses()
    for spec in configuration.config.checks:
        found = statuses.get(spec.id)
        if found is not None:
            failed = found.state.value in ("down", "degraded", "unknown")
            error = found.message if failed else ""
            rows.append({"name": f"check {spec.id}", "state": found.state.value, "last_ms": found.last_ms, "error": error})
    return rows


def _own_collectors(core: Core) -> list[dict[str, Any]]:
    """The host's and our own metrics, judged by the samples that they left in the store."""
    answer = core.engine.instant('max by (job) (timestamp(up{job=~"host|tocsin"}))', core.clock.now_ms()).vector
    found = dict(zip((labels.get("job") for labels in answer.labels), answer.values, strict=True)) if answer is not None else {}
    return [
        {
            "name": job,
            "state": "up" if job in found else "unknown",
            "last_ms": int(found.get(job, 0) * 1000),
            "error": "" if job in found else "no samples in the last 5 minutes",
        }
        for job in ("host", "tocsin")
    ]


def _target_row(target: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": f"scrape {target['scrapePool']} {target['labels'].get('instance', '')}",
        "state": target["health"],
        "last_ms": time_ms(target["lastScrape"]),
        "error": target["lastError"],
    }


def time_ms(text: str) -> int:
    """RFC 3339 -> ms; Go's zero time -> 0."""
    if not text or text.startswith("0001-"):
        return 0
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


def _rules(groups: list[dict[str, Any]]) -> dict[str, int]:
    rules = [rule for group in groups for rule in group["rules"]]
    return {
        "groups": len(groups),
        "rules": len(rules),
        "failing": sum(rule["health"] == "err" for rule in rules),
        "last_evaluation_ms": max((time_ms(group["lastEvaluation"]) for group in groups), default=0),
    }


def _counts(connection: Connection) -> dict[str, int]:
    open_states = [state.value for state in IncidentState if state.open]
    count = sa.func.count()

    def number(query: Any) -> int:
        return int(connection.execute(query).scalar() or 0)

    newest = number(sa.select(sa.func.max(notifications.c.created_ms)))
    return {
        "open": number(sa.select(count).select_from(incidents).where(incidents.c.state.in_(open_states), incidents.c.listed)),
        "waiting": number(
            sa.select(count).select_from(notifications).where(notifications.c.state.in_(["pending", "sending", "held"]))
        ),
        "failed": number(
            sa.select(count)
            .select_from(notifications)
            .where(notifications.c.state.in_(["failed", "expired"]), notifications.c.created_ms > newest - 86_400_000)
        ),
        "sent": number(
            sa.select(count)
            .select_from(notifications)
            .where(notifications.c.state.in_(["accepted", "delivered", "read"]), notifications.c.created_ms > newest - 86_400_000)
        ),
    }
