"""OTLP metrics (protobuf) -> `Batch`: `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest`.

    resource ─┬─ service.name, service.instance.id ──▶ job, instance      the rest ──▶ target_info
              └─ scopes ─ metrics ─ data points ──▶ samples
                           └─ delta, exponential histogram ──▶ refused, counted, said in the answer

Names are translated as Prometheus does (otlp_names.py). Explicit-bucket histograms become classic ones.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tocsin.formats.otlp_names import label_name, metric_name, unit_name
from tocsin.formats.protobuf import BYTES, FIXED64, VARINT, BodyError, fields, signed, varint
from tocsin.formats.protobuf_write import to_varint
from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import STALE_NAN, Batch

_DOUBLE, _FIXED, _SFIXED = struct.Struct("<d"), struct.Struct("<Q"), struct.Struct("<q")
_CUMULATIVE, _DELTA = 2, 1
_NO_VALUE = 1
"""Flag of a data point: the series ended."""
_MOST_NESTED = 8
_JOB = ("service.name", "service.namespace", "service.instance.id")
_REASONS_SHOWN = 10
_IDS = {4: "span_id", 5: "trace_id"}
_MOST_EXEMPLAR = 128
"""Characters of an exemplar's labels."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class MetricsRequest:
    """A decoded request. `rejected` data points were left out for `reasons`; everything else is in `batch`."""

    batch: Batch
    metadata: tuple[tuple[str, str, str, str], ...]
    """(metric, type, help, unit)"""
    rejected: int
    reasons: tuple[str, ...]
    exemplars: tuple[tuple[Labels, Exemplar], ...] = ()
    """With the labels of their series."""


def decode(data: bytes) -> MetricsRequest:
    """Raises BodyError when the bytes are not that message."""
    found = _Found(data)
    try:
        for number, wire, start, end in fields(data, 0, len(data)):
            if number == 1 and wire == BYTES:
                _resource_metrics(found, start, end)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BodyError(400, f"the body is not a valid ExportMetricsServiceRequest: {error}") from error
    return found.request()


def partial_success(rejected: int, message: str) -> bytes:
    """The answer, ExportMetricsServiceResponse; empty when everything was taken."""
    if not rejected and not message:
        return b""
    text = message.encode()
    inner = (b"\x08" + to_varint(rejected) if rejected else b"") + b"\x12" + to_varint(len(text)) + text
    return b"\x0a" + to_varint(len(inner)) + inner


@dataclass(slots=True)
class _Found:
    """What was met so far."""

    data: bytes
    labels: list[Labels] = field(default_factory=list)
    t_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    metadata: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    rejected: int = 0
    reasons: dict[str, None] = field(default_factory=dict)
    exemplars: list[tuple[Labels, Exemplar]] = field(default_factory=list)
    latest_ms: int = 0
    """Of the resource that is being read."""

    def put(self, name: str, labels: Mapping[str, str], t_ms: int, value: float) -> None:
        self.labels.append(Labels({**labels, METRIC_NAME: name}))
        self.t_ms.append(t_ms)
        self.values.append(value)
        self.latest_ms = max(self.latest_ms, t_ms)

    def reject(self, points: int, reason: str) -> None:
        self.rejected += points
        if len(self.reasons) < _REASONS_SHOWN:
            self.reasons[reason] = None

    def request(self) -> MetricsRequest:
        batch = Batch(self.labels, np.array(self.t_ms, np.int64), np.array(self.values, np.float64))
        return MetricsRequest(batch, tuple(self.metadata.values()), self.rejected, tuple(self.reasons), tuple(self.exemplars))


# -- resource, scope, metric ------------------------------------------------------------------------------------------


def _resource_metrics(found: _Found, start: int, end: int) -> None:
    data = found.data
    attributes: dict[str, str] = {}
    scopes: list[Span] = []
    for number, wire, at, stop in fields(data, start, end):
        if wire == BYTES and number == 1:
            attributes |= _attributes(data, at, stop, 1)
        elif wire == BYTES and number == 2:
            scopes.append((at, stop))
    name, space, instance = (attributes.get(key, "") for key in _JOB)
    target = {"job": f"{space}/{name}" if space and name else name, "instance": instance}
    found.latest_ms = 0
    for at, stop in scopes:
        for number, wire, inner, last in fields(data, at, stop):
            if number == 2 and wire == BYTES:
                _metric(found, inner, last, target)
    rest = _named({key: value for key, value in attributes.items() if key not in _JOB})
    if rest and (name or instance) and found.latest_ms:
        found.metadata["target_info"] = ("target_info", "gauge", "Target metadata", "")
        found.put("target_info", {**rest, **target}, found.latest_ms, 1.0)


def _metric(found: _Found, start: int, end: int, target: Mapping[str, str]) -> None:
    data = found.data
    texts = {1: "", 2: "", 3: ""}
    kind, body = 0, (0, 0)
    for number, wire, at, stop in fields(data, start, end):
        if wire != BYTES:
            continue
        if number in texts:
            texts[number] = data[at:stop].decode()
        elif number in (5, 7, 9, 10, 11):
            kind, body = number, (at, stop)
    points, temporality, monotonic = _data(data, *body)
    name = metric_name(texts[1], texts[3], counter=kind == 7 and monotonic, gauge=kind == 5)
    if not name:
        found.reject(len(points), f"metric {texts[1]!r}: no part of the name can be a metric name")
    elif kind == 10:
        found.reject(len(points), f"metric {texts[1]!r}: exponential histograms are not stored; use explicit buckets")
    elif kind in (7, 9) and temporality != _CUMULATIVE:
        said = "delta" if temporality == _DELTA else "unspecified"
        found.reject(len(points), f"metric {texts[1]!r}: {said} temporality is not stored; set the exporter to cumulative")
    elif kind:
        word = {5: "gauge", 9: "histogram", 11: "summary"}.get(kind, "counter" if monotonic else "gauge")
        found.metadata[name] = (name, word, texts[2], unit_name(texts[3]))
        take = {9: _histogram, 11: _summary}.get(kind, _number)
        for at, stop in points:
            take(found, at, stop, name, target)


def _data(data: bytes, start: int, end: int) -> tuple[list[Span], int, bool]:
    """Data points, aggregation temporality and monotonicity of a Gauge, Sum, Histogram or Summary."""
    points: list[Span] = []
    temporality, monotonic = 0, False
    for number, wire, at, stop in fields(data, start, end):
        if number == 1 and wire == BYTES:
            points.append((at, stop))
        elif number == 2 and wire == VARINT:
            temporality = varint(data, at)[0]
        elif number == 3 and wire == VARINT:
            monotonic = bool(varint(data, at)[0])
    return points, temporality, monotonic


# -- data points -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Point:
    """What every kind of data point has."""

    labels: dict[str, str]
    t_ms: int = 0
    ended: bool = False


def _point(data: bytes, start: int, end: int, target: Mapping[str, str], *, attributes: int, flags: int) -> _Point:
    point = _Point(dict(target))
    for number, wire, at, _ in fields(data, start, end):
        if number == 3 and wire == FIXED64:
            point.t_ms = _FIXED.unpack_from(data, at)[0] // 1_000_000
        elif number == flags and wire == VARINT:
            point.ended = bool(varint(data, at)[0] & _NO_VALUE)
    # Labels of the target win: a point that calls itself another job's would mix two sources.
    own = _named(_attributes(data, start, end, attributes))
    point.labels = {**own, **{name: value for name, value in target.items() if value}}
    return point


def _number(found: _Found, start: int, end: int, name: str, target: Mapping[str, str]) -> None:
    data = found.data
    point = _point(data, start, end, target, attributes=7, flags=8)
    value: float | None = STALE_NAN if point.ended else None
    if not point.ended:
        for number, wire, at, _ in fields(data, start, end):
            if wire == FIXED64 and number == 4:
                value = _DOUBLE.unpack_from(data, at)[0]
            elif wire == FIXED64 and number == 6:
                value = float(_SFIXED.unpack_from(data, at)[0])
    if value is None:
        found.reject(1, f"metric {name!r}: a data point has no value")
        return
    found.put(name, point.labels, point.t_ms, value)
    if found.metadata[name][1] == "counter":
        found.exemplars += [(found.labels[-1], one) for one in _exemplars(data, start, end, 5)]


def _histogram(found: _Found, start: int, end: int, name: str, target: Mapping[str, str]) -> None:
    data = found.data
    point = _point(data, start, end, target, attributes=9, flags=10)
    count, total = 0, None
    counts: list[int] = []
    bounds: list[float] = []
    for number, wire, at, stop in fields(data, start, end):
        if number == 4 and wire == FIXED64:
            count = _FIXED.unpack_from(data, at)[0]
        elif number == 5 and wire == FIXED64:
            total = _DOUBLE.unpack_from(data, at)[0]
        elif number == 6:
            counts += [value for (value,) in _FIXED.iter_unpack(data[at:stop])]
        elif number == 7:
            bounds += [value for (value,) in _DOUBLE.iter_unpack(data[at:stop])]
    if counts and len(counts) != len(bounds) + 1:
        found.reject(1, f"metric {name!r}: {len(counts)} bucket counts do not fit {len(bounds)} bounds")
        return
    so_far, first = 0, len(found.labels)
    for bound, many in zip(bounds, counts, strict=False):
        so_far += many
        found.put(f"{name}_bucket", {**point.labels, "le": _le(bound)}, point.t_ms, _or_end(so_far, point))
    found.put(f"{name}_bucket", {**point.labels, "le": "+Inf"}, point.t_ms, _or_end(count, point))
    for one in _exemplars(data, start, end, 8):
        bucket = next((i for i, bound in enumerate(bounds) if one.value <= bound), len(bounds))
        found.exemplars.append((found.labels[min(first + bucket, len(found.labels) - 1)], one))
    found.put(f"{name}_count", point.labels, point.t_ms, _or_end(count, point))
    if total is not None or point.ended:
        found.put(f"{name}_sum", point.labels, point.t_ms, _or_end(total or 0.0, point))


def _summary(found: _Found, start: int, end: int, name: str, target: Mapping[str, str]) -> None:
    data = found.data
    point = _point(data, start, end, target, attributes=7, flags=8)
    count, total = 0, 0.0
    for number, wire, at, stop in fields(data, start, end):
        if number == 4 and wire == FIXED64:
            count = _FIXED.unpack_from(data, at)[0]
        elif number == 5 and wire == FIXED64:
            total = _DOUBLE.unpack_from(data, at)[0]
        elif number == 6 and wire == BYTES:
            pair = {1: 0.0, 2: 0.0}
            for inner, kind, first, _ in fields(data, at, stop):
                if kind == FIXED64 and inner in pair:
                    pair[inner] = _DOUBLE.unpack_from(data, first)[0]
            found.put(name, {**point.labels, "quantile": _le(pair[1])}, point.t_ms, _or_end(pair[2], point))
    found.put(f"{name}_count", point.labels, point.t_ms, _or_end(count, point))
    found.put(f"{name}_sum", point.labels, point.t_ms, _or_end(total, point))


def _exemplars(data: bytes, start: int, end: int, field_number: int) -> Iterator[Exemplar]:
    """Exemplars of a data point: the ids of trace and span as labels, and the filtered attributes where there is room."""
    for number, wire, first, stop in fields(data, start, end):
        if number != field_number or wire != BYTES:
            continue
        t_ms, value, ids = 0, 0.0, dict[str, str]()
        for inner, kind, at, last in fields(data, first, stop):
            if kind == FIXED64 and inner == 2:
                t_ms = _FIXED.unpack_from(data, at)[0] // 1_000_000
            elif kind == FIXED64 and inner == 3:
                value = _DOUBLE.unpack_from(data, at)[0]
            elif kind == FIXED64 and inner == 6:
                value = float(_SFIXED.unpack_from(data, at)[0])
            elif kind == BYTES and inner in _IDS and at < last:
                ids[_IDS[inner]] = data[at:last].hex()
        labels = {**_named(_attributes(data, first, stop, 7)), **ids}
        fits = sum(len(name) + len(text) for name, text in labels.items()) <= _MOST_EXEMPLAR
        yield Exemplar(Labels(labels if fits else ids), value, t_ms)


def _or_end(value: float, point: _Point) -> float:
    return STALE_NAN if point.ended else float(value)


def _le(bound: float) -> str:
    """A bound as Go prints it with 'f': shortest digits, never an exponent."""
    return "+Inf" if bound == float("inf") else np.format_float_positional(bound, trim="-")


# -- attributes --------------------------------------------------------------------------------------------------------


def _named(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes as labels; those that get the same name are joined with `;` in the order of their keys."""
    out: dict[str, str] = {}
    for key in sorted(attributes):
        if key:
            name = label_name(key)
            out[name] = f"{out[name]};{attributes[key]}" if name in out else attributes[key]
    return out


def _attributes(data: bytes, start: int, end: int, field_number: int) -> dict[str, str]:
    """The KeyValues of a message under `field_number`."""
    return {key: _text(value) for key, value in _pairs(data, start, end, field_number, 0)}


def _pairs(data: bytes, start: int, end: int, field_number: int, depth: int) -> Iterator[tuple[str, object]]:
    for number, wire, at, stop in fields(data, start, end):
        if number != field_number or wire != BYTES:
            continue
        key, value = "", None
        for inner, kind, first, last in fields(data, at, stop):
            if inner == 1 and kind == BYTES:
                key = data[first:last].decode()
            elif inner == 2 and kind == BYTES:
                value = _any_value(data, first, last, depth)
        yield key, value


def _any_value(data: bytes, start: int, end: int, depth: int) -> object:
    if depth > _MOST_NESTED:
        raise BodyError(400, "an attribute is nested too deeply")
    value: object = None
    for number, wire, at, stop in fields(data, start, end):
        if number == 1 and wire == BYTES:
            value = data[at:stop].decode()
        elif number == 2 and wire == VARINT:
            value = bool(varint(data, at)[0])
        elif number == 3 and wire == VARINT:
            value = signed(varint(data, at)[0])
        elif number == 4 and wire == FIXED64:
            value = _DOUBLE.unpack_from(data, at)[0]
        elif number == 5 and wire == BYTES:
            value = [_any_value(data, a, b, depth + 1) for n, w, a, b in fields(data, at, stop) if n == 1 and w == BYTES]
        elif number == 6 and wire == BYTES:
            value = dict(_pairs(data, at, stop, 1, depth + 1))
        elif number == 7 and wire == BYTES:
            value = data[at:stop].hex()
    return value


def _text(value: object) -> str:
    """A value as a label's: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, separators=(",", ":"))
