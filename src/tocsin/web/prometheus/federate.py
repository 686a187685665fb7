"""`/federate`: the newest sample of every series that `match[]` selects, in the text format with timestamps."""

from __future__ import annotations

import threading
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from tocsin.formats.prometheus_json import format_value
from tocsin.model.labels import METRIC_NAME, Labels, Matcher
from tocsin.model.ports import SampleReader, SelectHints
from tocsin.model.series import is_absent, is_stale
from tocsin.web.answers import bytes_answer
from tocsin.web.desk import Desk
from tocsin.web.forms import Parameters
from tocsin.web.prometheus.params import selectors_parameter

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
Newest = tuple[Labels, int, float]


class Federate:
    """Handler of `/federate`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def federate(self, request: Request) -> Response:
        """Newest samples for another Prometheus."""
        sets = selectors_parameter(await Parameters.of(request))
        end_ms = self._desk.now_ms()
        start_ms, reader = end_ms - self._desk.settings.lookback_ms, self._desk.parts.reader

        def work(_stop: threading.Event) -> bytes:
            found: dict[Labels, Newest] = {}
            for matchers in sets:
                found |= {item[0]: item for item in newest(reader, matchers, start_ms, end_ms)}
            kinds = {name: kind for name, (kind, _, _) in reader.metadata().items()}
            return text_of(sorted(found.values(), key=lambda item: (item[0].get(METRIC_NAME), item[0].pairs)), kinds)

        return await bytes_answer(request, await self._desk.queries.for_client(request, work), media_type=_TEXT)


def newest(reader: SampleReader, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int) -> list[Newest]:
    """The last sample of each series within the window; series that ended (stale) are left out."""
    out: list[Newest] = []
    for group in reader.select(matchers, start_ms, end_ms, SelectHints()).groups:
        inside = (group.t_ms >= start_ms) & (group.t_ms <= end_ms)
        t_ms, values = group.t_ms[inside], group.values[:, inside]
        present, stale = ~is_absent(values), is_stale(values)
        for row, labels in enumerate(group.labels):
            places = present[row].nonzero()[0]
            if len(places) and not stale[row, places[-1]]:
                out.append((labels, int(t_ms[places[-1]]), float(values[row, places[-1]])))
    return out


def text_of(samples: list[Newest], kinds: dict[str, str]) -> bytes:
    """Lines, one TYPE comment per metric. Samples come ordered by metric."""
    lines: list[str] = []
    for metric, group in groupby(samples, key=lambda item: item[0].get(METRIC_NAME)):
        lines.append(f"# TYPE {_name(metric)} {_kind(kinds.get(metric, ''))}")
        lines += [f"{_series(metric, labels)} {format_value(value)} {t_ms}" for labels, t_ms, value in group]
    return ("\n".join(lines) + "\n").encode() if lines else b""


def _kind(kind: str) -> str:
    """Parts of a histogram or summary are sent one by one, so each is untyped."""
    return kind if kind in ("counter", "gauge") else "untyped"


def _name(metric: str) -> str:
    return metric if _is_classic(metric) else '{"' + _escaped(metric) + '"}'


def _series(metric: str, labels: Labels) -> str:
    pairs = [
        f'{name if _is_classic(name) else quoted(name)}="{_escaped(value)}"'
        for name, value in labels.pairs
        if name != METRIC_NAME
    ]
    if "instance" not in labels:
        pairs.append('instance=""')  # as upstream: the scraper's own instance label must not be added
    if _is_classic(metric):
        return f"{metric}{{{','.join(pairs)}}}"
    return "{" + ",".join([quoted(metric), *pairs]) + "}"


def quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _is_classic(name: str) -> bool:
    return name.isascii() and name.replace(":", "_").isidentifier()
