"""A remote-read client: asks as Prometheus does and decodes both kinds of answers."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import cramjam

from tocsin.formats import xor_chunk
from tocsin.formats.crc32c import crc32c
from tocsin.formats.protobuf import fields, signed, varint
from tocsin.formats.protobuf_write import delimited, number, to_varint
from tocsin.model.labels import Labels, MatchOp

_OPS = (MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX)
Query = tuple[int, int, Sequence[tuple[str, MatchOp, str]]]
Result = list[tuple[Labels, list[tuple[int, bytes]]]]


def request_body(queries: Sequence[Query], accepted: Sequence[int] = ()) -> bytes:
    out = b""
    for start_ms, end_ms, matchers in queries:
        query = number(1, start_ms) + number(2, end_ms)
        for name, op, value in matchers:
            query += delimited(3, number(1, _OPS.index(op)) + delimited(2, name.encode()) + delimited(3, value.encode()))
        hints = number(1, 15_000) + delimited(2, b"rate") + number(3, start_ms) + number(4, end_ms) + number(7, 300_000)
        out += delimited(1, query + delimited(4, hints))
    if accepted:
        out += delimited(2, b"".join(to_varint(one) for one in accepted))
    return bytes(cramjam.snappy.compress_raw(out))


def post(base: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    headers = {
        "content-type": "application/x-protobuf",
        "content-encoding": "snappy",
        "accept-encoding": "snappy",
        "x-prometheus-remote-read-version": "0.1.0",
    }
    request = urllib.request.Request(f"{base}/api/v1/read", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def read_samples(body: bytes) -> list[Result]:
    data = bytes(cramjam.snappy.decompress_raw(body))
    return [
        [_series(data, *inner) for _, _, *inner in fields(data, start, end)] for _, _, start, end in fields(data, 0, len(data))
    ]


def _series(data: bytes, start: int, end: int) -> tuple[Labels, list[tuple[int, bytes]]]:
    labels, samples = [], []
    for field, _, first, stop in fields(data, start, end):
        inner = {number: (at, last) for number, _, at, last in fields(data, first, stop)}
        if field == 1:
            labels.append((_text(data, inner, 1), _text(data, inner, 2)))
        else:
            value = data[slice(*inner[1])] if 1 in inner else bytes(8)
            samples.append((signed(varint(data, inner[2][0])[0]), value))
    return Labels(labels), samples


def _text(data: bytes, inner: dict[int, Any], field: int) -> str:
    return data[slice(*inner[field])].decode() if field in inner else ""


def read_chunks(body: bytes, queries: int) -> list[Result]:
    """Frames of a series that follow each other are joined."""
    results: list[Result] = [[] for _ in range(queries)]
    at = 0
    while at < len(body):
        size, at = varint(body, at)
        check, message = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 4 + size]
        assert check == crc32c(message)
        at += 4 + size
        labels, chunks, query = [], [], 0
        for field, _, start, end in fields(message, 0, len(message)):
            if field == 2:
                query = varint(message, start)[0]
                continue
            for inner, _, first, stop in fields(message, start, end):
                parts = {number: (low, high) for number, _, low, high in fields(message, first, stop)}
                if inner == 1:
                    labels.append((_text(message, parts, 1), _text(message, parts, 2)))
                else:
                    chunks.append(message[slice(*parts[4])])
        samples = [
            (t_ms, value.tobytes()) for t, v in xor_chunk.decode(chunks) for t_ms, value in zip(t.tolist(), v, strict=True)
        ]
        series = Labels(labels)
        if results[query] and results[query][-1][0] == series:
            results[query][-1][1].extend(samples)
        else:
            results[query].append((series, samples))
    return results
