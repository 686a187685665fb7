"""Bad remote writes, to the real Tocsin and a real Prometheus: the same status for the same rule, others by name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cramjam
import numpy as np
import pytest
from tests.process.both import prometheus_in, send

from tocsin.formats.protobuf_write import delimited, sample_fields

pytestmark = [pytest.mark.process, pytest.mark.peer]
YEAR_MS = 365 * 86_400_000
USUAL = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"}


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[int]:
    with prometheus_in(tmp_path) as port:
        yield port


def series(pairs: list[tuple[str, str]], *samples: tuple[int, float]) -> bytes:
    """A time series; the labels are written in this order, as a careless sender would."""
    labels = b"".join(delimited(1, delimited(1, name.encode()) + delimited(2, value.encode())) for name, value in pairs)
    return delimited(1, labels + sample_fields(np.array([t for t, _ in samples]), np.array([float(v) for _, v in samples])))


def named(name: str, **labels: str) -> list[tuple[str, str]]:
    return [("__name__", name), *sorted(labels.items())]


def snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def requests(now_ms: int) -> dict[str, tuple[bytes, dict[str, str], int, int]]:
    """Name -> body, headers, status of Prometheus, status of ours."""
    one = series(named("good"), (now_ms, 1))
    return {
        "nothing": (snappy(b""), {}, 204, 204),
        "one sample": (snappy(one), {}, 204, 204),
        "the same again": (snappy(one), {}, 204, 204),
        "another value at that moment": (snappy(series(named("good"), (now_ms, 2))), {}, 400, 400),
        "a series twice": (snappy(series(named("twice"), (now_ms, 1)) + series(named("twice"), (now_ms + 1, 2))), {}, 204, 204),
        "next year": (snappy(series(named("future"), (now_ms + YEAR_MS, 1))), {}, 400, 400),
        "no name": (snappy(series([("a", "b")], (now_ms, 1))), {}, 204, 400),
        "a name twice": (snappy(series([*named("dup", a="1"), ("a", "2")], (now_ms, 1))), {}, 204, 400),
        "labels out of order": (snappy(series([("z", "1"), ("__name__", "unsorted"), ("a", "2")], (now_ms, 1))), {}, 204, 204),
        "an empty value": (snappy(series(named("empty", a=""), (now_ms, 1))), {}, 204, 204),
        "not snappy": (b"\xff" * 100, {}, 400, 400),
        "not protobuf": (snappy(b"\xff" * 100), {}, 400, 400),
        "cut short": (snappy(one)[:-3], {}, 400, 400),
        "gzip": (one, {"Content-Encoding": "gzip"}, 415, 415),
        "JSON": (snappy(one), {"Content-Type": "application/json"}, 415, 415),
        "an unknown message": (
            snappy(one),
            {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v9.Request"},
            415,
            415,
        ),
        # Ours by rule: any age is stored; limits are for every way in; a bomb is not unpacked.
        "1970": (snappy(series(named("old"), (1000, 1))), {}, 400, 204),
        "a hundred thousand labels": (
            snappy(series(named("wide", **{f"l{n}": "x" for n in range(100_000)}), (now_ms, 1))),
            {},
            204,
            400,
        ),
        "a bomb": (snappy(bytes(40 << 20)), {}, 400, 413),
    }


def test_statuses_are_prometheuss_but_for_those_listed(tocsin, prometheus: int) -> None:
    tocsin.start()
    sent = requests(int(time.time() * 1000))
    found = {}
    for name, (body, headers, *_) in sent.items():
        answers = [send(port, "/api/v1/write", body, {**USUAL, **headers}) for port in (prometheus, tocsin.port)]
        found[name] = tuple(status for status, _ in answers)
        assert answers[1][0] // 100 == 2 or len(answers[1][1]) > 10, f"{name}: {answers[1]} does not say why"
    assert found == {name: (theirs, ours) for name, (_, _, theirs, ours) in sent.items()}
    assert {labels["__name__"] for labels, _ in tocsin.query('{__name__=~"good|twice|unsorted|empty"}')} == {
        "good",
        "twice",
        "unsorted",
        "empty",
    }
    assert tocsin.query("good")[0][1] == 1.0, "what was accepted stays"
