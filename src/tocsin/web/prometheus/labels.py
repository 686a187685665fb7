"""`/api/v1/series`, `labels`, `label/{name}/values`, `metadata`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from tocsin.formats.prometheus_json import encode_names, encode_series
from tocsin.model.labels import quote
from tocsin.web.answers import bytes_answer, prometheus_answer
from tocsin.web.desk import Desk
from tocsin.web.forms import Parameters
from tocsin.web.problem import Refused
from tocsin.web.prometheus.params import (
    MAX_MS,
    MIN_MS,
    limit_parameter,
    selectors_parameter,
    time_parameter,
    unescape_name,
)

T = TypeVar("T")
_TRUNCATED = "results truncated due to limit"


class LabelQueries:
    """Handlers about names rather than values."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reader = desk.parts.reader

    async def series(self, request: Request) -> Response:
        """Label sets of the series that match."""
        parameters = await Parameters.of(request)
        limit = limit_parameter(parameters)
        start_ms, end_ms = _window(parameters)
        sets = selectors_parameter(parameters, required=True)
        found = await self._run(request, lambda: self._reader.series(sets, start_ms, end_ms, _one_more(limit)))
        kept, warnings = _cut(found, limit)
        return await bytes_answer(request, encode_series(kept, warnings=warnings))

    async def labels(self, request: Request) -> Response:
        """Label names."""
        parameters = await Parameters.of(request)
        limit = limit_parameter(parameters)
        start_ms, end_ms = _window(parameters)
        sets = selectors_parameter(parameters)
        found = await self._run(request, lambda: self._reader.label_names(sets, start_ms, end_ms, _one_more(limit)))
        kept, warnings = _cut(found, limit)
        return await bytes_answer(request, encode_names(kept, warnings=warnings))

    async def values(self, request: Request) -> Response:
        """Values of one label; a UTF-8 name comes escaped (`U__...`)."""
        name = unescape_name(request.path_params["name"])
        if not name:
            raise Refused(400, "bad_data", f"invalid label name: {quote(name)}")
        parameters = await Parameters.of(request)
        limit = limit_parameter(parameters)
        start_ms, end_ms = _window(parameters)
        sets = selectors_parameter(parameters)
        found = await self._run(request, lambda: self._reader.label_values(name, sets, start_ms, end_ms, _one_more(limit)))
        kept, warnings = _cut(found, limit)
        return await bytes_answer(request, encode_names(kept, warnings=warnings))

    async def metadata(self, request: Request) -> Response:
        """Type, help and unit of metrics."""
        parameters = await Parameters.of(request)
        limit = _signed(parameters, "limit")
        per_metric = _signed(parameters, "limit_per_metric")
        metric = parameters.get("metric")
        known = await self._run(request, self._reader.metadata)
        names = [metric] if metric else sorted(known)
        if limit >= 0:
            names = names[:limit]
        answer = {
            name: [{"type": known[name][0], "help": known[name][1], "unit": known[name][2]}][
                : per_metric if per_metric > 0 else 1
            ]
            for name in names
            if name in known
        }
        return await prometheus_answer(request, answer)

    async def _run(self, request: Request, work: Callable[[], T]) -> T:
        return await self._desk.queries.for_client(request, lambda _stop: work())


def _window(parameters: Parameters) -> tuple[int, int]:
    start_ms = time_parameter(parameters, "start", MIN_MS)
    end_ms = time_parameter(parameters, "end", MAX_MS)
    return start_ms, end_ms


def _one_more(limit: int) -> int:
    """Asking for one more than wanted tells whether something was left out."""
    return limit + 1 if limit else 0


def _cut(found: Sequence[T], limit: int) -> tuple[Sequence[T], tuple[str, ...]]:
    if limit and len(found) > limit:
        return found[:limit], (_TRUNCATED,)
    return found, ()


def _signed(parameters: Parameters, name: str) -> int:
    """An integer as Atoi reads it; -1 = not given."""
    text = parameters.get(name)
    if not text:
        return -1
    try:
        return int(text)
    except ValueError:
        raise Refused(400, "bad_data", f"{name} must be a number") from None
