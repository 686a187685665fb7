"""Samples sent on: encoded as receivers read them, retried while the receiver is away, given up when it refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tocsin.formats.remote_write import PROTO_V1, PROTO_V2, Decoder, decompress
from tocsin.formats.remote_write_out import encode_metadata, encode_v1, encode_v2
from tocsin.model.labels import Labels
from tocsin.model.ports import HttpError, HttpResponse
from tocsin.model.series import STALE_NAN
from tocsin.remote.write import Queue, RemoteWriteTarget

T = 1_700_000_000_000
LABELS = [Labels({"__name__": "m_total", "n": "1"}), Labels({"__name__": "m_total", "n": "é\n"})]
METADATA = {"m": ("counter", "Help.", "s")}


def decoded(body, proto=PROTO_V1):
    return Decoder().decode(decompress(body, "snappy"), proto)


@pytest.mark.parametrize("t_ms", [[T, T + 1], [0, -5], [T, 1 << 43]])
@pytest.mark.parametrize("version", [1, 2])
def test_receivers_read_what_was_written(version, t_ms):
    columns = np.array(t_ms, np.int64), np.array([1.5, STALE_NAN])
    message = encode_v1(LABELS, *columns) if version == 1 else encode_v2(LABELS, *columns, METADATA)
    found = decoded(message.body, PROTO_V1 if version == 1 else PROTO_V2)
    assert message.samples == 2
    assert list(found.batch.labels) == LABELS
    assert found.batch.t_ms.tolist() == t_ms
    assert found.batch.value.view(np.uint64).tolist() == columns[1].view(np.uint64).tolist()
    assert found.errors == ()
    if version == 2:
        assert found.metadata == (("m_total", "counter", "Help.", "s"),)


def test_metadata_of_version_one():
    assert decoded(encode_metadata([("m", "counter", "Help.", "s")])).metadata == (("m", "counter", "Help.", "s"),)


class Clock:
    def __init__(self):
        self.t_ms = T

    def now_ms(self):
        return self.t_ms

    def monotonic_s(self):
        return self.t_ms / 1000

    async def sleep_until_ms(self, t_ms):
        self.t_ms = max(self.t_ms, t_ms)
        await asyncio.sleep(0)


class Found:
    def __init__(self, refs):
        self.refs = np.array(refs, np.int64)
        self.t_ms = T + np.arange(len(refs))
        self.values = np.arange(float(len(refs)))


class Log:
    """Gives its batches one after the other; then ends the test."""

    def __init__(self, batches):
        self.batches = batches
        self.number = 0
        self.started_at = None

    place = property(lambda self: (1, self.number))

    def tail(self, place):
        self.started_at = place
        self.number = place[1] if place else 0
        return self

    def read(self, at_least):
        if self.number >= len(self.batches):
            return Found([])
        self.number += 1
        return Found(self.batches[self.number - 1])

    def waiting_bytes(self):
        return 0

    def close(self):
        pass

    def labels_of(self, refs):
        return {ref: Labels({"__name__": "m", "n": str(ref)}) for ref in refs.tolist() if ref < 90}

    def metadata(self):
        return METADATA


class Receiver:
    def __init__(self, answers=()):
        self.answers = list(answers)
        self.taken = []
        self.calls = 0

    async def request(self, method, url, *, headers=None, body=b"", timeout_s=10.0, way=None):
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        status, extra = answer if isinstance(answer, tuple) else (answer, {})
        found = decoded(body)
        if 200 <= status < 300:
            self.taken += [labels["n"] for labels in found.batch.labels]
        return HttpResponse(status, extra, b"why")


class Steady:
    def random(self):
        return 0.5

    def randbytes(self, n):
        return bytes(n)


async def sent(tmp_path, batches, answers=(), *, until=None, **changes):
    """Run a queue until the log is read and everything was answered."""
    target = replace(RemoteWriteTarget("q", "http://x/w", metadata_every_ms=0), **changes)
    log, receiver, clock = Log(batches), Receiver(answers), Clock()
    queue = Queue(target, {}, log, receiver, clock, Steady(), tmp_path)
    task = asyncio.create_task(queue.run())
    for _ in range(500):
        await asyncio.sleep(0.002)
        if log.number == len(batches) and queue._done == log.place and not receiver.answers:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return log, receiver, clock


async def test_samples_wait_while_the_receiver_is_away(tmp_path):
    away = [HttpError("connection refused", sent=False), 500, 503, (429, {"Retry-After": "7"})]
    _, receiver, clock = await sent(tmp_path, [[1, 2]], away)
    assert receiver.taken == ["1", "2"]
    assert receiver.calls == 5
    assert clock.t_ms - T >= 7000


async def test_what_is_refused_for_good_is_not_sent_again(tmp_path):
    _, receiver, _ = await sent(tmp_path, [[1], [2]], [400])
    assert receiver.taken == ["2"]
    assert receiver.calls == 2


async def test_series_are_split_into_requests_and_stay_in_order(tmp_path):
    refs = [1, 2, 3, 4, 5, 6, 7, 8] * 3
    _, receiver, _ = await sent(tmp_path, [refs], max_samples=4, max_shards=3)
    assert sorted(receiver.taken) == sorted(map(str, refs))
    assert receiver.calls >= 6


async def test_series_that_are_filtered_or_unknown_are_left_out(tmp_path):
    def keep(labels):
        return {**labels, "n": f"x{labels['n']}"} if labels["n"] != "2" else None

    _, receiver, _ = await sent(tmp_path, [[1, 2, 3, 99]], rewrite=keep)
    assert receiver.taken == ["x1", "x3"]


async def test_a_queue_goes_on_where_it_was(tmp_path):
    await sent(tmp_path, [[1], [2]])
    log, receiver, _ = await sent(tmp_path, [[1], [2], [3]])
    assert log.started_at == (1, 2)
    assert receiver.taken == ["3"]
