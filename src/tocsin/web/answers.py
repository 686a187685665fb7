"""Answers as bytes: JSON by orjson, compressed when the client takes it and it is worth it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections.abc import AsyncIterator
from typing import Any, Protocol

import cramjam
import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tocsin.model.labels import Labels

_WORTH_COMPRESSING = 1400  # fits one packet: nothing to gain
_ON_THE_LOOP = 64 * 1024  # above this, compressing would keep others waiting (about 2 ms)
_CLOCK = re.compile(rb'"(?:now_ms|cursor|lag_ms|last_evaluation_ms|last_sample_ms)":-?\d+')
_JSON = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_plain, option=_JSON)


def _plain(value: Any) -> Any:
    if isinstance(value, Labels):
        return dict(value)
    if isinstance(value, tuple | frozenset | set):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


async def json_answer(request: Request, value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return await bytes_answer(request, dumps(value), status=status, headers=headers)


async def bytes_answer(
    request: Request,
    body: bytes,
    *,
    status: int = 200,
    media_type: str = "application/json",
    headers: dict[str, str] | None = None,
    tagged: bool = True,
) -> Response:
    """`body`, gzipped where that helps. A read of JSON, or one with an ETag among `headers`, is 304 to who has it already.

    Not `tagged`: an answer that nobody asks for twice (samples up to now), where a hash of it all would be for nothing.
    """
    sent = {"vary": "accept-encoding", **(headers or {})}
    if tagged and request.method == "GET" and status == 200 and (media_type == "application/json" or "etag" in sent):
        sent.setdefault("etag", etag_of(body))
        if _has(request, sent["etag"]):
            return Response(status_code=304, headers=sent)
    if len(body) > _WORTH_COMPRESSING and accepts_gzip(request):
        body = gzip(body) if len(body) < _ON_THE_LOOP else await asyncio.to_thread(gzip, body)
        sent["content-encoding"] = "gzip"
    return Response(body, status, headers=sent, media_type=media_type)


def etag_of(body: bytes) -> str:
    """Weak: two answers that differ only in the clock and the stream's cursor say the same."""
    return f'W/"{hashlib.blake2b(_CLOCK.sub(b"", body), digest_size=12).hexdigest()}"'


def _has(request: Request, etag: str) -> bool:
    """If-None-Match names this very answer, strong or weak."""
    asked = request.headers.get("if-none-match", "")
    return asked.strip() == "*" or etag.removeprefix("W/") in [one.strip().removeprefix("W/") for one in asked.split(",")]


def accepts_gzip(request: Request) -> bool:
    for part in request.headers.get("accept-encoding", "").split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() in ("gzip", "*") and quality.replace(" ", "") not in ("q=0", "q=0.0"):
            return True
    return False


def gzip(body: bytes) -> bytes:
    return bytes(cramjam.gzip.compress(body, level=3))


class Pieces(Protocol):
    """An answer as it is made; closing it, begun or not, ends the making."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


def stream_answer(request: Request, pieces: Pieces, *, media_type: str = "application/json") -> Response:
    """A large answer as it is made, compressed piece by piece (zlib gives the loop back between pieces)."""
    headers = {"vary": "accept-encoding"}
    if accepts_gzip(request):
        headers["content-encoding"] = "gzip"
    return _Stream(pieces, headers, media_type)


class _Stream(StreamingResponse):
    """Closes its pieces, sent or not: a client who left before the first must not hold up what makes them."""

    def __init__(self, pieces: Pieces, headers: dict[str, str], media_type: str) -> None:
        self._pieces = pieces
        super().__init__(_gzipped(pieces) if "content-encoding" in headers else pieces, headers=headers, media_type=media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()


async def _gzipped(pieces: Pieces) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(1, wbits=31)
    async for piece in pieces:
        if packed := await asyncio.to_thread(packer.compress, piece):
            yield packed
    yield packer.flush()


async def prometheus_answer(request: Request, data: Any) -> Response:
    """A 200 in Prometheus's envelope."""
    return await bytes_answer(request, b'{"status":"success","data":' + dumps(data) + b"}")
