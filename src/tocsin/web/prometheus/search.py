"""`/api/v1/search/{metric_names,label_names,label_values}`: ranked completion as newline-delimited JSON.

    {"results":[{"name":"http_requests_total","score":0.9}, ...]}
    {"status":"success","has_more":false}

Source: the search API of Prometheus's main branch, as our own editor needs it; one batch, then the end line.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tocsin.clock import Clock
from tocsin.model.labels import METRIC_NAME, quote
from tocsin.web.answers import bytes_answer, dumps
from tocsin.web.desk import Desk
from tocsin.web.forms import Parameters
from tocsin.web.prometheus.params import (
    MAX_MS,
    MIN_MS,
    BadParameter,
    limit_parameter,
    selectors_parameter,
    time_parameter,
    unescape_name,
)

_DEFAULT_LIMIT = 100
_MOST = 10_000
_KEPT_MS = 10_000
_KEPT_LISTS = 64


@dataclass(frozen=True, slots=True)
class Match:
    """How well a name fits; better ones sort first."""

    rank: int
    """0 equal, 1 starts with it, 2 a word starts with it, 3 holds it, 4 holds its letters in order."""
    length: int
    name: str

    def key(self) -> tuple[int, int, str]:
        return self.rank, self.length, self.name

    @property
    def score(self) -> float:
        return round(1 - self.rank / 5 - min(self.length, 100) / 1000, 3)


@dataclass(frozen=True, slots=True)
class Names:
    """Names with their lower-case twins, so that a keystroke costs one pass of substring tests."""

    names: Sequence[str]
    low: Sequence[str]

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        return cls(names, [name.lower() for name in names])


def ranked(text: str, known: Names, limit: int, *, fuzzy: bool = True) -> tuple[list[Match], bool]:
    """The best `limit` names and whether there were more. Letters in order count only where too few names hold the text."""
    text = text.lower()
    holding = [index for index, low in enumerate(known.low) if text in low]
    found = [_holding(text, known, index) for index in holding]
    if fuzzy and len(found) < limit:
        held = set(holding)
        others = (index for index in range(len(known.names)) if index not in held)
        found += [Match(4, len(known.names[index]), known.names[index]) for index in others if _in_order(text, known.low[index])]
    return nsmallest(limit, found, key=Match.key), len(found) > limit


def _holding(text: str, known: Names, index: int) -> Match:
    name, low = known.names[index], known.low[index]
    place = low.find(text)
    rank = 0 if low == text else 1 if place == 0 else 2 if not low[place - 1].isalnum() else 3
    return Match(rank, len(name), name)


def _in_order(text: str, name: str) -> bool:
    """Whether the letters stand in the name in this order; `find` per letter keeps the loop short."""
    place = -1
    for letter in text:
        place = name.find(letter, place + 1)
        if place < 0:
            return False
    return True


class NameCache:
    """Name lists for a few seconds: typing a word asks the store once, not once per letter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], tuple[int, Names]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...], read: Callable[[], list[str]]) -> Names:
        """Call it from a thread: `read` may take a while."""
        now_ms = self._clock.now_ms()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and 0 <= now_ms - kept[0] < _KEPT_MS:
            return kept[1]
        names = Names.of(read())
        with self._lock:
            self._kept[key] = (now_ms, names)
            while len(self._kept) > _KEPT_LISTS:
                self._kept.popitem(last=False)
        return names


class Search:
    """Handlers of the search routes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cache = NameCache(desk.parts.clock)

    async def metric_names(self, request: Request) -> Response:
        """Metric names, with their metadata when asked for."""
        parameters = await Parameters.of(request)
        with_metadata = parameters.get("include_metadata") in ("true", "1")
        return await self._answer(request, parameters, METRIC_NAME, with_metadata=with_metadata)

    async def label_names(self, request: Request) -> Response:
        """Label names."""
        return await self._answer(request, await Parameters.of(request), "")

    async def label_values(self, request: Request) -> Response:
        """Values of `label`."""
        parameters = await Parameters.of(request)
        label = unescape_name(parameters.get("label"))
        if not label:
            raise BadParameter("label", f"invalid label name {quote(label)}")
        return await self._answer(request, parameters, label)

    async def _answer(self, request: Request, parameters: Parameters, label: str, *, with_metadata: bool = False) -> Response:
        limit = min(limit_parameter(parameters) or _DEFAULT_LIMIT, _MOST)
        fuzzy = parameters.get("fuzz_threshold") != "100"
        text = next((value for value in parameters.all("search[]") + parameters.all("search")), "")
        names = self._names(parameters, label)
        key = (label, *parameters.all("match[]"), "", parameters.get("start"), parameters.get("end"))

        def work(_stop: threading.Event) -> bytes:
            best, more = ranked(text, self._cache.get(key, names), limit, fuzzy=fuzzy)
            known = self._desk.parts.reader.metadata() if with_metadata else {}
            results: list[dict[str, Any]] = [{"name": fit.name, "score": fit.score} for fit in best]
            for row in results:
                if row["name"] in known:
                    kind, help_text, unit = known[row["name"]]
                    row["metadata"] = [{"type": kind, "help": help_text, "unit": unit}]
            return dumps({"results": results}) + b"\n" + dumps({"status": "success", "has_more": more}) + b"\n"

        body = await self._desk.queries.for_client(request, work)
        return await bytes_answer(request, body, media_type="application/x-ndjson")

    def _names(self, parameters: Parameters, label: str) -> Callable[[], list[str]]:
        start_ms, end_ms = time_parameter(parameters, "start", MIN_MS), time_parameter(parameters, "end", MAX_MS)
        sets, reader = selectors_parameter(parameters), self._desk.parts.reader
        if label:
            return lambda: reader.label_values(label, sets, start_ms, end_ms)
        return lambda: reader.label_names(sets, start_ms, end_ms)
