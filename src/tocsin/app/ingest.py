"""What others push: remote write, OTLP, the Pushgateway's API. Decoded off the loop, appended on it, then answered."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter as Tally
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tocsin.bus.wire import IngestAnswer, IngestHandler, IngestRequest
from tocsin.errors import StoreError
from tocsin.formats import otlp, pushgateway
from tocsin.formats.protobuf import BodyError
from tocsin.formats.pushgateway import PushError
from tocsin.formats.remote_write import PROTO_V1, Decoder, WriteRequest, decompress

if TYPE_CHECKING:
    from tocsin.app.core import Core
    from tocsin.model.ports import AppendResult
    from tocsin.tsdb.db import Store

_RETRY_S = "30"


def ingest_table(core: Core) -> Mapping[str, IngestHandler]:
    """Every kind of push by name."""
    return {"write": RemoteWrite(core).take, "otlp": Otlp(core).take, "push": Pushes(core).take}


class Pushes:
    """The Pushgateway's API: PUT, POST and DELETE of a group of samples."""

    def __init__(self, core: Core) -> None:
        self._groups = core.pushed

    async def take(self, request: IngestRequest) -> IngestAnswer:
        """200 when the group is kept, 202 when it is deleted, 4xx when nothing of it was taken."""
        method = request.headers.get("x-method", "POST")
        try:
            group = pushgateway.grouping_key(request.path.partition("/metrics/")[2])
            if method == "DELETE":
                self._groups.delete(group)
                await self._groups.save(group)
                return IngestAnswer(202)
            kind, encoding = request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
            push = await asyncio.to_thread(pushgateway.read_push, request.body, kind, encoding, group)
            self._groups.push(group, push, replace=method == "PUT")
            await self._groups.save(group)
        except PushError as error:
            return IngestAnswer(error.status, f"{error}\n".encode())
        except StoreError as error:
            return _later(error)
        return IngestAnswer(200)


class RemoteWrite:
    """Remote write 1.0 and 2.0, one request at a time: a flood waits outside and is told so by its timeout."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._decoder = Decoder()
        self._lock = asyncio.Lock()

    async def take(self, request: IngestRequest) -> IngestAnswer:
        """204 when all is stored, 400 with counts when some was refused for good, 503 when the disk is full."""
        async with self._lock:
            try:
                decoded = await asyncio.to_thread(self._decode, request)
            except BodyError as error:
                return IngestAnswer(error.status, f"{error}\n".encode())
            return self._store(decoded)

    def _decode(self, request: IngestRequest) -> WriteRequest:
        body = decompress(request.body, request.headers.get("content-encoding", "snappy"))
        return self._decoder.decode(body, _message(request.headers.get("content-type", "")))

    def _store(self, decoded: WriteRequest) -> IngestAnswer:
        store = self._core.store
        try:
            result = _keep(store, decoded)
        except StoreError as error:
            return _later(error)
        # As in Prometheus, an exemplar that is refused is nobody's error.
        lost = sum(store.append_exemplars(decoded.exemplars).values())
        headers = {
            "x-prometheus-remote-write-samples-written": str(result.accepted),
            "x-prometheus-remote-write-histograms-written": "0",
            "x-prometheus-remote-write-exemplars-written": str(len(decoded.exemplars) - lost),
        }
        refused = Tally(result.refused)
        problems = [f"{count} {reason}" for reason, count in sorted(refused.items())] + list(decoded.errors[:10])
        if decoded.histograms:
            problems.append(f"{decoded.histograms} native histogram samples, which are not stored")
        if problems:
            text = f"refused: {'; '.join(problems)}. The other {result.accepted} samples are stored."
            return IngestAnswer(400, f"{text}\n".encode(), headers=headers)
        return IngestAnswer(204, headers=headers)


class Otlp:
    """OTLP metrics over HTTP, protobuf. What cannot be stored is named in the answer's partial success, as the protocol says."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = asyncio.Lock()

    async def take(self, request: IngestRequest) -> IngestAnswer:
        """200, with a partial success where something was left out; 400, 413 and 415 when nothing was taken."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-protobuf":
            text = f"content type {kind or 'none'} is not supported: set the exporter's protocol to http/protobuf\n"
            return IngestAnswer(415, text.encode())
        async with self._lock:
            try:
                decoded = await asyncio.to_thread(_decode_otlp, request)
            except BodyError as error:
                return IngestAnswer(error.status, f"{error}\n".encode())
            return self._store(decoded)

    def _store(self, decoded: otlp.MetricsRequest) -> IngestAnswer:
        store = self._core.store
        try:
            result = _keep(store, decoded)
        except StoreError as error:
            return _later(error)
        store.append_exemplars(decoded.exemplars)
        refused = [f"{count} samples: {reason}" for reason, count in sorted(result.refused.items())]
        body = otlp.partial_success(decoded.rejected + sum(result.refused.values()), "; ".join([*decoded.reasons, *refused]))
        return IngestAnswer(200, body, content_type="application/x-protobuf")


def _keep(store: Store, decoded: WriteRequest | otlp.MetricsRequest) -> AppendResult:
    """Metadata and samples into the store. Raises StoreError: nothing was taken, and the sender keeps them."""
    for metric, kind, help_text, unit in decoded.metadata:
        store.set_metadata(metric, kind, help_text, unit)
    store.must_write()
    return store.append(decoded.batch)


def _later(error: StoreError) -> IngestAnswer:
    return IngestAnswer(503, f"{error}\n".encode(), headers={"retry-after": _RETRY_S})


def _decode_otlp(request: IngestRequest) -> otlp.MetricsRequest:
    encoding, body = request.headers.get("content-encoding", ""), request.body
    if encoding != "gzip":
        return otlp.decode(decompress(body, encoding))
    try:
        return otlp.decode(pushgateway.gunzip(body, pushgateway.MOST_BYTES))
    except zlib.error as error:
        raise BodyError(400, f"the body is not valid gzip: {error}") from None
    except OverflowError as error:
        raise BodyError(413, str(error)) from None


def _message(content_type: str) -> str:
    """The protobuf message that a content type names; remote write 1.0 senders name none. Raises BodyError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("", "application/x-protobuf"):
        raise BodyError(415, f"content type {kind!r} is not remote write; expected application/x-protobuf")
    for part in content_type.split(";")[1:]:
        name, _, value = part.strip().partition("=")
        if name == "proto":
            return value.strip('"')
    return PROTO_V1
