"""Query results and other answers -> bytes of the Prometheus HTTP API.

    {"status":"success","data":{"resultType":"matrix","result":[...]},"warnings":[...],"infos":[...]}

Rows of a matrix are written without a Python object per point: orjson prints the row of floats, the timestamps are a
template that they are filled into. Numbers are as Prometheus writes them: shortest exact decimals, an exponent below
1e-6 and from 1e21 on, NaN, +Inf, -Inf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np
import orjson

from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64, Matrix, QueryResult, QueryStats, RawSeries, ValueType, Vector, is_absent

_PIECE_BYTES = 512 * 1024
_BLOCK_CELLS = 10_000
_BLOCK_SERIES = 500
_MAX_ANNOTATIONS = 10
"""As many warnings, and as many infos, as Prometheus shows."""
_EXPONENT = (1e-5, 1e16)
"""Outside, orjson writes exponents where Prometheus does not, or spells them differently."""
_EXACT = 2.0**53
_FEW = 16
"""So many numbers are printed one by one before numpy has begun."""


def encode_result(result: QueryResult, *, limit: int = 0, stats: bool = False, per_step: bool = False) -> bytes:
    """The whole answer. `limit` > 0 cuts the series and says so in a warning; `stats` adds the counts and timings, `per_step`
    the counts of each step."""
    return b"".join(_fragments(result, limit, stats, per_step))


def stream_result(result: QueryResult, *, limit: int = 0, stats: bool = False, per_step: bool = False) -> Iterator[bytes]:
    """The same bytes in pieces well under 1 MB (a single series may exceed it), so that nothing large is joined."""
    piece: list[bytes] = []
    size = 0
    for fragment in _fragments(result, limit, stats, per_step):
        piece.append(fragment)
        size += len(fragment)
        if size >= _PIECE_BYTES:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


def encode_data(data: Any, *, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> bytes:
    """`{"status":"success","data":...}` of plain values."""
    return b'{"status":"success","data":' + orjson.dumps(data) + _annotations(warnings, infos) + b"}"


def encode_series(series: Iterable[Labels], *, warnings: Sequence[str] = ()) -> bytes:
    """Answer of /api/v1/series."""
    items = b",".join(_metrics(list(series)))
    return b'{"status":"success","data":[' + items + b"]" + _annotations(warnings, ()) + b"}"


def encode_names(names: Iterable[str], *, warnings: Sequence[str] = ()) -> bytes:
    """Answer of /api/v1/labels and label values."""
    return encode_data([_clean(name) for name in names], warnings=warnings)


def encode_exemplars(found: Iterable[tuple[Labels, Sequence[Exemplar]]]) -> bytes:
    """Answer of /api/v1/query_exemplars."""
    return b'{"status":"success","data":[' + b",".join([_exemplars(labels, own) for labels, own in found]) + b"]}"


def _exemplars(labels: Labels, own: Sequence[Exemplar]) -> bytes:
    listed = [
        b'{"labels":%b,"value":"%b","timestamp":%b}'
        % (_metric(one.labels), format_value(one.value).encode(), format_seconds(one.t_ms).encode())
        for one in own
    ]
    return b'{"seriesLabels":' + _metric(labels) + b',"exemplars":[' + b",".join(listed) + b"]}"


def format_value(value: float) -> str:
    """One sample value as the API prints it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return np.format_float_positional(value, trim="-")
    return text.removesuffix(".0")


def format_seconds(t_ms: int) -> str:
    """A timestamp as the API prints it: seconds, with milliseconds only when there are any."""
    sign, t_ms = ("-", -t_ms) if t_ms < 0 else ("", t_ms)
    seconds, rest = divmod(t_ms, 1000)
    return f"{sign}{seconds}.{rest:03d}" if rest else f"{sign}{seconds}"


def _fragments(result: QueryResult, limit: int, stats: bool, per_step: bool) -> Iterator[bytes]:
    yield b'{"status":"success","data":{"resultType":"' + result.type.value.encode() + b'","result":'
    cut = False
    match result.type:
        case ValueType.SCALAR:
            yield f'[{format_seconds(result.t_ms)},"{format_value(result.scalar)}"]'.encode()
        case ValueType.STRING:
            yield f"[{format_seconds(result.t_ms)},".encode() + orjson.dumps(_clean(result.text)) + b"]"
        case _:
            count = _series_count(result)
            cut = 0 < limit < count
            yield from _list(result, limit if cut else count)
    if stats:
        yield b',"stats":' + orjson.dumps(_stats(result.stats, per_step))
    warnings = result.annotations.warnings + (("results truncated due to limit",) if cut else ())
    yield b"}" + _annotations(warnings, result.annotations.infos) + b"}"


def _list(result: QueryResult, most: int) -> Iterator[bytes]:
    """The first `most` series, several to a piece."""
    yield b"["
    separator = b""
    for piece in _series(result, most):
        yield separator
        yield piece
        separator = b","
    yield b"]"


def _series_count(result: QueryResult) -> int:
    if result.vector is not None:
        return len(result.vector.labels)
    return len(result.matrix.labels) if result.matrix is not None else len(result.raw or ())


def _series(result: QueryResult, most: int) -> Iterator[bytes]:
    if result.vector is not None:
        return _vector(result.vector, most)
    if result.matrix is not None:
        return _matrix(result.matrix, most)
    return _raw((result.raw or ())[:most])


def _vector(vector: Vector, most: int) -> Iterator[bytes]:
    for start in range(0, most, _BLOCK_SERIES):
        part = slice(start, min(start + _BLOCK_SERIES, most))
        t_ms = vector.t_ms[part].tolist()
        yield b",".join(_points(vector.labels[part], t_ms, _numbers(np.ascontiguousarray(vector.values[part]))))


def _points(labels: Sequence[Labels], t_ms: list[int], numbers: list[bytes]) -> list[bytes]:
    if t_ms[0] == t_ms[-1] and t_ms.count(t_ms[0]) == len(t_ms):
        between = b',"value":[' + format_seconds(t_ms[0]).encode() + b',"'
        named = zip(_metrics(labels), numbers, strict=True)
        return [b'{"metric":' + metric + between + number + b'"]}' for metric, number in named]
    listed = zip(_metrics(labels), t_ms, numbers, strict=True)
    return [b'{"metric":%b,"value":[%b,"%b"]}' % (metric, format_seconds(at).encode(), number) for metric, at, number in listed]


def _matrix(matrix: Matrix, most: int) -> Iterator[bytes]:
    """Rows without holes go through orjson many at a time; the others one by one. Nothing is written of steps without any."""
    matrix = _trimmed(matrix)
    template = _Template(matrix.t_ms)
    block = max(1, min(_BLOCK_SERIES, _BLOCK_CELLS // max(matrix.t_ms.size, 1)))
    for start in range(0, most, block):
        part = slice(start, min(start + block, most))
        values = np.ascontiguousarray(matrix.values[part])
        plain: Bool = np.asarray(_plain(values).all(axis=1))
        all_plain = bool(plain.all())
        texts = _rows_of_numbers(values if all_plain else values[plain])
        metrics = _metrics(matrix.labels[part])
        if all_plain:
            rows = [template.filled(metric, numbers) for metric, numbers in zip(metrics, texts, strict=True)]
        else:
            rows = [
                template.filled(metric, next(texts)) if plain[row] else _holed(template, metric, values[row])
                for row, metric in enumerate(metrics)
            ]
        yield b",".join(rows)


def _trimmed(matrix: Matrix) -> Matrix:
    """From the first to the last step at which the first series is, when all others are there just as long."""
    if not len(matrix.labels) or not matrix.t_ms.size:
        return matrix
    there = np.flatnonzero(~is_absent(np.ascontiguousarray(matrix.values[0])))
    if not there.size or there.size == matrix.t_ms.size:
        return matrix
    first, last = int(there[0]), int(there[-1]) + 1
    if not (is_absent(matrix.values[:, :first]).all() and is_absent(matrix.values[:, last:]).all()):
        return matrix
    return Matrix(matrix.labels, matrix.t_ms[first:last], matrix.values[:, first:last])


class _Template:
    """The points of a row, `[1,"` `"],[2,"` `"]`, between which its numbers are put: two pieces per point, in one list."""

    def __init__(self, t_ms: Int64) -> None:
        if t_ms.size and t_ms[0] >= 0 and not (t_ms % 1000).any():
            seconds = orjson.dumps(t_ms // 1000, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
            self._between = (b'"],[' + seconds.replace(b",", b',"\n"],[') + b',"').split(b"\n")
        else:
            self._between = [b'"],[%b,"' % format_seconds(each).encode() for each in t_ms.tolist()]
        self._pieces = self._laid_out(self._between)

    @staticmethod
    def _laid_out(between: list[bytes]) -> list[bytes]:
        pieces = [b""] * (2 * len(between) + 1)
        pieces[0:-1:2] = between
        pieces[-1] = b'"]]}'
        return pieces

    def filled(self, metric: bytes, numbers: list[bytes], present: Bool | None = None) -> bytes:
        """A series; `present` [m] says at which instants it has its numbers, None = at all of them."""
        head = b'{"metric":' + metric + b',"values":['
        if not numbers:
            return head + b"]}"
        pieces, first = self._pieces, self._between[0]
        if present is not None:
            between = list(compress(self._between, present.tolist()))
            pieces, first = self._laid_out(between), between[0]
        pieces[0] = head + first[3:]
        pieces[1::2] = numbers
        return b"".join(pieces)


def _holed(template: _Template, metric: bytes, values: Float64) -> bytes:
    """A row that has no plain number at every instant."""
    present: Bool | None = None
    if np.isnan(values).any() and (missing := is_absent(values)).any():
        present = ~missing
        values = values[present]
    return template.filled(metric, _numbers(values), present)


def _rows_of_numbers(values: Float64) -> Iterator[list[bytes]]:
    """Plain numbers [k, m] as the API prints them, row by row: the pieces of one are gone when those of the next are made."""
    if not values.size:
        yield from ([] for _ in values)
        return
    whole = values == np.rint(values)
    if whole.all() and (np.abs(values) < _EXACT).all() and not np.signbit(values[values == 0]).any():
        yield from (row.split(b",") for row in _dumped(values.astype(np.int64)))
        return
    for row, some_whole in zip(_dumped(values), whole.any(axis=1).tolist(), strict=True):
        yield ((row + b",").replace(b".0,", b",")[:-1] if some_whole else row).split(b",")


def _dumped(numbers: Float64 | Int64) -> list[bytes]:
    return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")


def _plain(values: Float64) -> Bool:
    size = np.abs(values)
    return np.asarray(((size >= _EXPONENT[0]) & (size < _EXPONENT[1])) | (size == 0))


def _raw(series: Sequence[RawSeries]) -> Iterator[bytes]:
    return (_holed(_Template(each.t_ms), _metric(each.labels), np.ascontiguousarray(each.values)) for each in series)


def _numbers(values: Float64) -> list[bytes]:
    """Each value as the API prints it; the fast way for many numbers of everyday size."""
    if values.size > _FEW and _plain(values).all():
        return next(_rows_of_numbers(values[None, :]))
    return [format_value(value).encode() for value in values.tolist()]


def _metrics(rows: Sequence[Labels]) -> list[bytes]:
    """Labels of many series as JSON."""
    try:
        listed = orjson.dumps([labels.as_dict for labels in rows])[2:-2].split(b"},{")
    except orjson.JSONEncodeError:
        listed = []
    # A value may hold what they are told apart by.
    return [b"{" + each + b"}" for each in listed] if len(listed) == len(rows) else [_metric(labels) for labels in rows]


def _metric(labels: Labels) -> bytes:
    try:
        return orjson.dumps(labels.as_dict)
    except orjson.JSONEncodeError:
        return orjson.dumps({_clean(name): _clean(value) for name, value in labels.pairs})


def _clean(text: str) -> str:
    """Bytes that are no UTF-8 (kept as surrogates inside) become the replacement character."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _annotations(warnings: Sequence[str], infos: Sequence[str]) -> bytes:
    out = b""
    for key, texts in ((b"warnings", warnings), (b"infos", infos)):
        if not texts:
            continue
        shown = list(texts[:_MAX_ANNOTATIONS])
        if len(texts) > _MAX_ANNOTATIONS:
            kind = "warning" if key == b"warnings" else "info"
            shown.append(f"{len(texts) - _MAX_ANNOTATIONS} more {kind} annotations omitted")
        out += b',"' + key + b'":' + orjson.dumps([_clean(text) for text in shown])
    return out


_TIMINGS = ("evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime", "execTotalTime")


def _stats(stats: QueryStats, per_step: bool) -> Mapping[str, Any]:
    """In the shape of Prometheus; `per_step` adds the samples of each step."""
    samples: dict[str, Any] = {"totalQueryableSamples": stats.samples_read, "peakSamples": stats.samples_peak}
    if per_step:
        samples["totalQueryableSamplesPerStep"] = [[t_ms / 1000, count] for t_ms, count in stats.read_at]
    return {"timings": {name: stats.timings_s.get(name, 0) for name in _TIMINGS}, "samples": samples}
