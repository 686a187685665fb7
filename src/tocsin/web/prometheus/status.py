"""`/api/v1/status/*`: configuration (redacted), build, runtime, flags, store."""

from __future__ import annotations

import os
import platform
import socket
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.model.duration import format_duration
from tocsin.model.labels import METRIC_NAME
from tocsin.web.answers import prometheus_answer
from tocsin.web.desk import Desk
from tocsin.web.forms import Parameters
from tocsin.web.prometheus.params import limit_parameter

PROMETHEUS = "3.5.0"
"""Whose answers we give; clients choose their features by it."""
_TSDB_LIMIT = 10
_HEAD_MS = 2 * 3_600_000


class Status:
    """Handlers of `/api/v1/status`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def config(self, request: Request) -> Response:
        """The configuration in force; secrets are stars."""
        state = await self._desk.state.ask("config.state")
        return await prometheus_answer(request, {"yaml": state.get("yaml", "")})

    async def buildinfo(self, request: Request) -> Response:
        """Version. Never with `features`: Grafana would take us for Mimir."""
        parts = self._desk.parts
        answer = {
            "version": f"{PROMETHEUS}+tocsin.{parts.version}",
            "revision": parts.revision,
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": f"python{platform.python_version()}",
        }
        return await prometheus_answer(request, answer)

    async def runtimeinfo(self, request: Request) -> Response:
        """How the process runs."""
        status = await self._desk.state.try_ask("status", {})
        config = await self._desk.state.try_ask("config.state", {})
        answer = {
            "startTime": _rfc3339(int(status.get("started_ms", 0)) or self._desk.parts.started_ms),
            "CWD": "/",
            "hostname": socket.gethostname(),
            "serverTime": _rfc3339(self._desk.now_ms()),
            "reloadConfigSuccess": not any(not problem.get("warning") for problem in config.get("problems", ())),
            "lastConfigTime": _rfc3339(int(config.get("loaded_ms", 0))),
            "corruptionCount": int(status.get("damaged_records", 0)),
            "goroutineCount": 0,
            "GOMAXPROCS": os.cpu_count() or 1,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": str(status.get("retention", "")),
        }
        return await prometheus_answer(request, answer)

    async def flags(self, request: Request) -> Response:
        """Settings under the names of Prometheus's flags."""
        settings = self._desk.settings
        answer = {
            "query.lookback-delta": format_duration(settings.lookback_ms),
            "query.timeout": format_duration(settings.query_timeout_ms),
            "query.max-concurrency": str(settings.query_concurrency),
            "web.external-url": settings.external_url,
            "web.listen-address": ",".join(settings.listen),
            "web.route-prefix": settings.route_prefix or "/",
        }
        return await prometheus_answer(request, answer)

    async def walreplay(self, request: Request) -> Response:
        """How far the replay is; this process answers only when it is done."""
        return await prometheus_answer(request, {"min": 0, "max": 0, "current": 0})

    async def tsdb(self, request: Request) -> Response:
        """Cardinality: which metrics and labels have most series and values."""
        limit = limit_parameter(await Parameters.of(request)) or _TSDB_LIMIT
        now_ms = self._desk.now_ms()
        answer = await self._desk.queries.for_client(request, lambda _stop: self._cardinality(now_ms, limit))
        return await prometheus_answer(request, answer)

    def _cardinality(self, now_ms: int, limit: int) -> dict[str, Any]:
        """Counts over the series of the head's time. Runs in a thread; reads once."""
        start_ms = now_ms - _HEAD_MS
        pairs: Counter[tuple[str, str]] = Counter()
        series = self._desk.parts.reader.series([], start_ms, now_ms)
        for labels in series:
            pairs.update(labels.pairs)
        values = Counter(name for name, _ in pairs)
        memory: Counter[str] = Counter()
        for name, value in pairs:
            memory[name] += len(value.encode())
        return {
            "headStats": {
                "numSeries": len(series),
                "numLabelPairs": len(pairs),
                "chunkCount": 0,
                "minTime": start_ms,
                "maxTime": now_ms,
            },
            "seriesCountByMetricName": _top({value: n for (name, value), n in pairs.items() if name == METRIC_NAME}, limit),
            "labelValueCountByLabelName": _top(values, limit),
            "memoryInBytesByLabelName": _top(memory, limit),
            "seriesCountByLabelValuePair": _top({f"{name}={value}": n for (name, value), n in pairs.items()}, limit),
        }


def _top(counts: Mapping[str, int], limit: int) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return [{"name": name, "value": value} for name, value in ordered]


def _rfc3339(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
