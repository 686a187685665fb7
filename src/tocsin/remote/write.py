"""Samples sent on to other stores by remote write, as Prometheus's `remote_write` does it.

    log ──Tail──▶ a round: samples, split by series into shards ──requests, one per shard at a time──▶ all answered: place noted

Nothing is queued in memory: what is not sent yet is in the log, which is kept for it up to a bound. A round ends when every
request of it was taken or refused for good, so a series never overtakes itself. After a kill the last seconds are sent once
more; receivers know samples that they have.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
import orjson

from tocsin.clock import Clock
from tocsin.formats.remote_write import PROTO_V1, PROTO_V2
from tocsin.formats.remote_write_out import Message, encode_metadata, encode_v1, encode_v2
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge
from tocsin.model.httpclient import HttpClient
from tocsin.model.labels import Labels
from tocsin.model.ports import Http, HttpError, Random
from tocsin.model.series import Float64, Int64

log = get_log("remote.write")
SAMPLES = Counter("tocsin_remote_write_samples_total", "Samples sent on, by what became of them.", ["queue", "outcome"])
REQUESTS = Counter(
    "tocsin_remote_write_requests_total", "Requests of remote write, by HTTP status or error.", ["queue", "status"]
)
BYTES = Counter("tocsin_remote_write_bytes_total", "Bytes of the requests that were taken.", ["queue"])
PENDING = Gauge("tocsin_remote_write_pending_bytes", "How much of the log is still to be sent on.", ["queue"])
NEWEST = Gauge("tocsin_remote_write_newest_sample_seconds", "Time of the newest sample that was sent on.", ["queue"])

_LOOK_MS = 500
_NOTE_MS = 5000
_METADATA_AT_ONCE = 2000
_KNOWN_SERIES = 2_000_000
_STATUS_OK = range(200, 300)
Place = tuple[int, int]


class Found(Protocol):
    """Samples of the log: references, times, values."""

    @property
    def refs(self) -> Int64: ...

    @property
    def t_ms(self) -> Int64: ...

    @property
    def values(self) -> Float64: ...


class LogReader(Protocol):
    """A place in the log (`tsdb.tail.Tail`)."""

    @property
    def place(self) -> Place: ...

    def read(self, at_least: int) -> Found: ...

    def waiting_bytes(self) -> int: ...

    def close(self) -> None: ...


class Source(Protocol):
    """Where samples come from (`tsdb.outgoing.Outgoing`)."""

    def tail(self, place: Place | None) -> LogReader: ...

    def labels_of(self, refs: Int64) -> Mapping[int, Labels]: ...

    def metadata(self) -> Mapping[str, tuple[str, str, str]]: ...


@dataclass(frozen=True, slots=True)
class RemoteWriteTarget:
    """One entry of `remote_write`. Durations in ms."""

    name: str
    url: str
    http: HttpClient = field(default_factory=HttpClient)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 30.0
    message: str = PROTO_V1
    rewrite: Callable[[Mapping[str, str]], dict[str, str] | None] | None = field(default=None, repr=False, compare=False)
    """`write_relabel_configs`; None = nothing changes, an answer of None = not sent."""
    rules: tuple[object, ...] = ()
    """What `rewrite` is made of: two targets are one when these are equal."""
    max_samples: int = 2000
    """Per request."""
    max_shards: int = 8
    min_backoff_ms: int = 30
    max_backoff_ms: int = 5000
    oldest_ms: int = 0
    """Samples older than this are not sent; 0 = any age."""
    metadata_every_ms: int = 60_000
    """0 = never; version 2.0 sends it with each series."""


class RemoteWriter:
    """Runs one queue per target."""

    def __init__(
        self, *, source: Source, folder: Path, clock: Clock, random: Random, http_with: Callable[[HttpClient], Http]
    ) -> None:
        """`folder` holds the places of the queues."""
        self._source = source
        self._folder = folder
        self._clock = clock
        self._random = random
        self._http_with = http_with
        self._wanted: dict[str, tuple[RemoteWriteTarget, Mapping[str, str]]] = {}
        self._changed = asyncio.Event()

    def apply(self, targets: Sequence[RemoteWriteTarget], external_labels: Mapping[str, str]) -> None:
        self._wanted = {target.name: (target, dict(external_labels)) for target in targets}
        self._changed.set()

    async def run(self) -> None:
        """Send until cancelled."""
        running: dict[str, tuple[object, asyncio.Task[None]]] = {}
        try:
            while True:
                self._changed.clear()
                for name, (wanted, task) in list(running.items()):
                    if self._wanted.get(name) != wanted:
                        await _ended(task)
                        del running[name]
                for name, settings in self._wanted.items():
                    if name not in running:
                        running[name] = (settings, asyncio.create_task(self._queue(*settings), name=f"remote write {name}"))
                await self._changed.wait()
        finally:
            for _, task in running.values():
                await _ended(task)

    async def _queue(self, target: RemoteWriteTarget, external: Mapping[str, str]) -> None:
        queue = Queue(target, external, self._source, self._http_with(target.http), self._clock, self._random, self._folder)
        await queue.run()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Queue:
    """What goes to one target."""

    def __init__(
        self, target: RemoteWriteTarget, external: Mapping[str, str], source: Source, http: Http, clock: Clock, random: Random,
        folder: Path,
    ) -> None:  # fmt: skip
        self._target = target
        self._external = external
        self._source = source
        self._http = http
        self._clock = clock
        self._random = random
        self._file = folder / f"{sha256(f'{target.name} {target.url}'.encode()).hexdigest()[:16]}.json"
        self._known: dict[int, Labels | None] = {}
        """Labels as sent, by reference; None = not sent."""
        self._done: Place | None = None
        self._noted: tuple[Place | None, int] = (None, 0)
        self._metadata_ms = 0
        self._failing = ""

    async def run(self) -> None:
        """Read, send, note the place; never returns."""
        place = await asyncio.to_thread(self._read_place)
        reader = self._source.tail(place)
        most = self._target.max_samples * self._target.max_shards
        try:
            while True:
                found = await asyncio.to_thread(reader.read, most)
                if len(found.refs):
                    await self._round(found)
                self._done = reader.place
                await self._note_place(self._done)
                PENDING.set(await asyncio.to_thread(reader.waiting_bytes), self._target.name)
                await self._send_metadata()
                if len(found.refs) < most:
                    await self._clock.sleep_until_ms(self._clock.now_ms() + _LOOK_MS)
        finally:
            if self._done is not None:
                self._write_place(self._done)
            reader.close()

    # -- a round -------------------------------------------------------------------------------------------------------

    async def _round(self, found: Found) -> None:
        messages = await asyncio.to_thread(self._messages, found)
        await asyncio.gather(*(self._send_all(shard) for shard in messages))
        NEWEST.set(int(found.t_ms.max()) / 1000, self._target.name)

    def _messages(self, found: Found) -> list[list[Message]]:
        """Requests by shard; those of one shard go one after the other."""
        name, target = self._target.name, self._target
        refs, t_ms, values = found.refs, found.t_ms, found.values
        if target.oldest_ms:
            fresh = t_ms >= self._clock.now_ms() - target.oldest_ms
            SAMPLES.inc(name, "too_old", by=int((~fresh).sum()))
            refs, t_ms, values = refs[fresh], t_ms[fresh], values[fresh]
        self._learn(np.unique(refs))
        kept = np.array([self._known[ref] is not None for ref in refs.tolist()], np.bool_)
        SAMPLES.inc(name, "filtered", by=int((~kept).sum()))
        refs, t_ms, values = refs[kept], t_ms[kept], values[kept]
        shards = max(1, min(target.max_shards, -(-len(refs) // target.max_samples)))
        number = refs % shards
        out = []
        for shard in range(shards):
            mine = np.flatnonzero(number == shard)
            places = [mine[start : start + target.max_samples] for start in range(0, len(mine), target.max_samples)]
            out.append([self._encode(refs[part], t_ms[part], values[part]) for part in places])
        return out

    def _learn(self, refs: Int64) -> None:
        """Labels of series not met before, with external labels and rewritten."""
        if len(self._known) > _KNOWN_SERIES:
            self._known.clear()
        fresh = [ref for ref in refs.tolist() if ref not in self._known]
        if not fresh:
            return
        labels_of = self._source.labels_of(np.array(fresh, np.int64))
        for ref in fresh:
            labels = labels_of.get(ref)
            self._known[ref] = None if labels is None else self._as_sent(labels)

    def _as_sent(self, labels: Labels) -> Labels | None:
        merged = {**self._external, **labels}
        if self._target.rewrite is None:
            return Labels(merged) if self._external else labels
        changed = self._target.rewrite(merged)
        return Labels(changed) if changed else None

    def _encode(self, refs: Int64, t_ms: Int64, values: Float64) -> Message:
        labels = [one for ref in refs.tolist() if (one := self._known[ref]) is not None]
        if self._target.message == PROTO_V2:
            return encode_v2(labels, t_ms, values, self._source.metadata())
        return encode_v1(labels, t_ms, values)

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send_all(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.samples:
                outcome = await self._send(message)
                SAMPLES.inc(self._target.name, outcome, by=message.samples)

    async def _send(self, message: Message) -> str:
        """Until it is taken or refused for good: `sent` or `refused`."""
        target, wait_ms = self._target, self._target.min_backoff_ms
        while True:
            status, text, after_ms = await self._once(message)
            if status in _STATUS_OK:
                BYTES.inc(target.name, by=len(message.body))
                self._say("")
                return "sent"
            if status and status != 429 and status < 500:
                log.warning("samples were refused", queue=target.name, status=status, samples=message.samples, answer=text[:300])
                return "refused"
            self._say(text or f"HTTP {status}")
            pause_ms = max(after_ms, wait_ms * (0.5 + self._random.random() / 2))
            await self._clock.sleep_until_ms(self._clock.now_ms() + int(pause_ms))
            wait_ms = min(2 * wait_ms, target.max_backoff_ms)

    async def _once(self, message: Message) -> tuple[int, str, int]:
        """Status (0 = no answer), text, and how long the receiver asks to wait, ms."""
        version2 = self._target.message == PROTO_V2
        headers = {
            "Content-Type": f"application/x-protobuf;proto={PROTO_V2}" if version2 else "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "2.0.0" if version2 else "0.1.0",
            **self._target.headers,
        }
        try:
            answer = await self._http.request(
                "POST", self._target.url, headers=headers, body=message.body, timeout_s=self._target.timeout_s
            )
        except HttpError as error:
            REQUESTS.inc(self._target.name, "error")
            return 0, str(error), 0
        REQUESTS.inc(self._target.name, str(answer.status))
        after = next((value for name, value in answer.headers.items() if name.lower() == "retry-after"), "")
        return answer.status, answer.body.decode(errors="replace").strip(), int(after) * 1000 if after.isdecimal() else 0

    def _say(self, problem: str) -> None:
        """Log when it begins to fail and when it works again."""
        if problem and not self._failing:
            log.warning("samples cannot be sent on; they wait in the log", queue=self._target.name, error=problem[:300])
        elif self._failing and not problem:
            log.info("samples are sent on again", queue=self._target.name)
        self._failing = problem

    async def _send_metadata(self) -> None:
        """Version 1.0 sends types and help texts by themselves, now and then."""
        every, now_ms = self._target.metadata_every_ms, self._clock.now_ms()
        if not every or self._target.message == PROTO_V2 or now_ms < self._metadata_ms + every:
            return
        self._metadata_ms = now_ms
        listed = [(metric, *entry) for metric, entry in self._source.metadata().items()]
        for start in range(0, len(listed), _METADATA_AT_ONCE):
            # Once, without retrying: they come again.
            await self._once(Message(encode_metadata(listed[start : start + _METADATA_AT_ONCE]), 0))

    # -- the place -----------------------------------------------------------------------------------------------------

    def _read_place(self) -> Place | None:
        try:
            segment, offset = orjson.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return int(segment), int(offset)

    async def _note_place(self, place: Place) -> None:
        """Write it down now and then; the first time at once, so that a kill does not lose what comes."""
        now_ms = self._clock.now_ms()
        if place != self._noted[0] and (self._noted[0] is None or now_ms >= self._noted[1] + _NOTE_MS):
            self._noted = (place, now_ms)
            await asyncio.to_thread(self._write_place, place)

    def _write_place(self, place: Place) -> None:
        self._folder_ready()
        temporary = self._file.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps(place))
        temporary.replace(self._file)

    def _folder_ready(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
