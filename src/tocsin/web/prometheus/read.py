"""`/api/v1/read`: raw samples for another Prometheus (remote read)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tocsin.errors import QueryCanceled, QueryTimeout
from tocsin.formats import remote_read
from tocsin.formats.protobuf import BodyError
from tocsin.formats.remote_read import ReadQuery, ReadRequest, ResponseType, Series
from tocsin.metrics import Counter
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from tocsin.model.ports import SampleReader
from tocsin.model.series import SeriesGroup, is_absent
from tocsin.web.desk import Desk

read_total = Counter("tocsin_web_remote_read_total", "Remote reads answered, by response type.", ["type"])


class TooManySamples(Exception):
    """An answer of plain samples would be too large."""


class RemoteRead:
    """Handler of `/api/v1/read`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def read(self, request: Request) -> Response:
        """Samples of series by matchers, as snappy-compressed protobuf or as a stream of XOR chunks."""
        try:
            asked = remote_read.decode_request(await request.body())
        except BodyError as error:
            return PlainTextResponse(f"{error}\n", 400)
        read_total.inc(asked.response_type.name)
        if asked.response_type is ResponseType.STREAMED_XOR_CHUNKS:
            pieces = self._desk.queries.pieces(self._frames(asked))
            return StreamingResponse(pieces, media_type=remote_read.CHUNKS_TYPE)
        try:
            body = await self._desk.queries.for_client(request, lambda stop: self._samples(asked, stop))
        except TooManySamples as error:
            return PlainTextResponse(f"{error}\n", 400)
        except (QueryTimeout, QueryCanceled) as error:
            return PlainTextResponse(f"{error}\n", 503)
        return Response(body, headers={"content-encoding": "snappy"}, media_type=remote_read.SAMPLES_TYPE)

    def _samples(self, asked: ReadRequest, stop: threading.Event) -> bytes:
        most, outside = self._desk.settings.read_samples, self._desk.settings.external_labels
        left = most
        results = []
        for query in asked.queries:
            found: list[Series] = []
            for one in series_of(self._desk.parts.reader, query, outside):
                left -= len(one[1])
                if left < 0:
                    raise TooManySamples(f"exceeded sample limit ({most})")
                if stop.is_set():
                    raise QueryCanceled("the remote read was canceled")
                found.append(one)
            results.append(found)
        return remote_read.encode_samples(results)

    def _frames(self, asked: ReadRequest) -> Iterator[bytes]:
        """Frames, joined to pieces that are worth a write."""
        outside = self._desk.settings.external_labels
        waiting: list[bytes] = []
        size = 0
        for number, query in enumerate(asked.queries):
            for frame in remote_read.encode_chunks(number, series_of(self._desk.parts.reader, query, outside)):
                waiting.append(frame)
                size += len(frame)
                if size >= remote_read.MAX_FRAME:
                    yield b"".join(waiting)
                    waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)


def series_of(reader: SampleReader, query: ReadQuery, external: Mapping[str, str]) -> Iterator[Series]:
    """Series of a query with their samples, sorted by labels. External labels are taken out of the matchers and added to
    the series that lack them, as Prometheus does.

    One metric at a time, so that no more than one metric's samples are held; a label name that sorts before `__name__`
    mixes the metrics, and all is read at once.
    """
    matchers = tuple(one for one in query.matchers if not _names_us(one, external))
    span = (query.start_ms, query.end_ms)
    names = reader.label_names([matchers], *span)
    metrics = [] if names and names[0] < METRIC_NAME else reader.label_values(METRIC_NAME, [matchers], *span)
    if len(metrics) < 2 or METRIC_NAME in external:
        yield from _sorted(reader.select(matchers, *span, query.hints).groups, external)
        return
    for metric in metrics:
        own = (*matchers, Matcher(METRIC_NAME, MatchOp.EQUAL, metric))
        yield from _sorted(reader.select(own, *span, query.hints).groups, external)


def _names_us(matcher: Matcher, external: Mapping[str, str]) -> bool:
    return matcher.op is MatchOp.EQUAL and external.get(matcher.name) == matcher.value


def _sorted(groups: tuple[SeriesGroup, ...], external: Mapping[str, str]) -> Iterator[Series]:
    rows = [(_called(labels, external), group, row) for group in groups for row, labels in enumerate(group.labels)]
    rows.sort(key=lambda one: one[0].pairs)
    for labels, group, row in rows:
        there = np.flatnonzero(~is_absent(group.values[row]))
        if len(there):
            yield labels, group.t_ms[there], group.values[row, there]


def _called(labels: Labels, external: Mapping[str, str]) -> Labels:
    return Labels({**external, **labels}) if external else labels
