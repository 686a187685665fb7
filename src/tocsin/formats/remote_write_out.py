"""Bodies of remote write as a sender makes them: versions 1.0 and 2.0, compressed with snappy. One field per sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cramjam

from tocsin.formats.protobuf_write import delimited, labels_fields, number, sample_fields, to_varint
from tocsin.formats.remote_write import KINDS
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Float64, Int64

Metadata = Mapping[str, tuple[str, str, str]]
"""metric -> (type, help, unit)"""
_SUFFIXES = ("_total", "_bucket", "_count", "_sum", "_info", "_created")


@dataclass(frozen=True, slots=True)
class Message:
    """A compressed body and how many samples it carries."""

    body: bytes
    samples: int


def encode_v1(labels: Sequence[Labels], t_ms: Int64, values: Float64) -> Message:
    """A prometheus.WriteRequest; arrays of one length, sample i is of labels[i]."""
    parts: list[bytes] = []
    for one, sample in zip(labels, _each(t_ms, values), strict=True):
        named = _named(one)
        parts += (b"\x0a", to_varint(len(named) + len(sample)), named, sample)
    return Message(bytes(cramjam.snappy.compress_raw(b"".join(parts))), len(labels))


@lru_cache(maxsize=200_000)
def _named(labels: Labels) -> bytes:
    return labels_fields(labels)


def _each(t_ms: Int64, values: Float64) -> list[bytes]:
    """The sample fields one by one."""
    data = sample_fields(t_ms, values)
    size = len(data) // max(len(t_ms), 1)
    if size * len(t_ms) == len(data) and size == 18:
        return [data[start : start + size] for start in range(0, len(data), size)]
    return [sample_fields(t_ms[i : i + 1], values[i : i + 1]) for i in range(len(t_ms))]


def encode_metadata(metadata: Sequence[tuple[str, str, str, str]]) -> bytes:
    """A compressed WriteRequest of (metric, type, help, unit)."""
    parts = []
    for metric, kind, help_text, unit in metadata:
        texts = delimited(2, metric.encode()) + delimited(4, help_text.encode()) + delimited(5, unit.encode())
        parts.append(delimited(3, number(1, _kind(kind)) + texts))
    return bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def encode_v2(labels: Sequence[Labels], t_ms: Int64, values: Float64, metadata: Metadata) -> Message:
    """An io.prometheus.write.v2.Request: labels and metadata as numbers of texts."""
    texts: dict[str, int] = {"": 0}
    series = []
    for one, sample in zip(labels, _each(t_ms, values), strict=True):
        refs = b"".join([to_varint(texts.setdefault(text, len(texts))) for pair in one.pairs for text in pair])
        kind, help_text, unit = _of_metric(one.get(METRIC_NAME), metadata)
        about = number(1, _kind(kind))
        about += number(3, texts.setdefault(help_text, len(texts))) + number(4, texts.setdefault(unit, len(texts)))
        series.append(delimited(5, delimited(1, refs) + sample + (delimited(5, about) if about else b"")))
    symbols = [delimited(4, text.encode()) for text in texts]
    return Message(bytes(cramjam.snappy.compress_raw(b"".join([*symbols, *series]))), len(labels))


def _kind(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else 0


def _of_metric(name: str, metadata: Metadata) -> tuple[str, str, str]:
    """Metadata of a series: its own metric's, or that of the family whose part it is."""
    found = metadata.get(name)
    if found is None:
        family = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), name)
        found = metadata.get(family, ("", "", ""))
    return found
