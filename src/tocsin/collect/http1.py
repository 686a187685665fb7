"""One HTTP/1.1 exchange on an open connection, with the phases `processing` and `transfer` measured and everything bounded."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import httptools

from tocsin.collect.io import Connection, Io
from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_READ = 1 << 16
_MOST_HEADER_BYTES = 1 << 18


@dataclass(slots=True)
class Answer:
    """What the server said. `body` is decoded and at most the limit long; header names are lower case."""

    status: int = 0
    version: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    cut: bool = False
    """The body was longer than the limit: the rest was not read."""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    """What came after the body (HTTP/2 and 3)."""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


class _Reader:
    """httptools' callbacks."""

    def __init__(self, method: str, limit: int) -> None:
        self.answer = Answer()
        self.complete = False
        self.headers_done = False
        self._head_only = method == "HEAD"
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._header_bytes = 0
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise ProbeError(CheckReason.PROTOCOL, "the answer's headers are longer than 256 KiB")
        self.answer.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if 100 <= status < 200:
            self.answer.headers.clear()
            return
        self.answer.status = status
        self.answer.version = self.parser.get_http_version()
        self.headers_done = True
        if self._head_only or status in (204, 304):
            self.complete = True

    def on_body(self, data: bytes) -> None:
        self._chunks.append(data[: max(self._limit - self._size, 0)])
        self._size += len(data)
        self.answer.cut = self._size > self._limit

    def on_message_complete(self) -> None:
        if self.headers_done:
            self.complete = True

    def body(self) -> bytes:
        return b"".join(self._chunks)


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The request as it goes on the wire; no header can smuggle a line break."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ProbeError(CheckReason.PROTOCOL, "a header or the URL contains a line break")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def exchange(io: Io, connection: Connection, method: str, request: bytes, *, most_bytes: int) -> Answer:
    """Send and read one answer. Raises ProbeError for what is not HTTP, OSError for the connection."""
    reader = _Reader(method, most_bytes)
    with io.phase("processing", "waiting for the first byte of the answer"):
        await connection.send(request)
        data = await connection.reader.read(_READ)
    with io.phase("transfer", "reading the answer"):
        while True:
            _feed(reader, data)
            if reader.complete or reader.answer.cut:
                break
            data = await connection.reader.read(_READ)
            if not data:
                _end_of_stream(reader)
                break
    answer = reader.answer
    answer.body = decoded(reader.body(), answer, most_bytes)
    return answer


def _feed(reader: _Reader, data: bytes) -> None:
    if not data:
        raise ProbeError(CheckReason.PROTOCOL, "the connection was closed without an answer")
    try:
        reader.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        reader.complete = True
    except httptools.HttpParserError as error:
        inner = error.__context__
        if isinstance(inner, ProbeError):
            raise inner from None
        start = data[:40].decode("latin-1")
        raise ProbeError(CheckReason.PROTOCOL, f"the answer is not HTTP ({error}); it begins with {start!r}") from None


def _end_of_stream(reader: _Reader) -> None:
    """Without a length, the end of the connection is the end of the body; anything else was cut off."""
    headers = dict(reader.answer.headers)
    if not reader.headers_done:
        raise ProbeError(CheckReason.PROTOCOL, "the connection was closed within the answer's headers")
    if "content-length" in headers or "chunked" in headers.get("transfer-encoding", ""):
        raise ProbeError(CheckReason.PROTOCOL, "the connection was closed before the body was complete", facts_of(reader.answer))


def decoded(body: bytes, answer: Answer, most_bytes: int) -> bytes:
    """Undo gzip or deflate, never beyond the limit (a small body may unpack to gigabytes)."""
    encoding = answer.header("content-encoding").strip().lower()
    if encoding not in ("gzip", "deflate") or not body:
        return body
    decoder = zlib.decompressobj(47 if encoding == "gzip" else 15)
    try:
        out = decoder.decompress(body, most_bytes)
    except zlib.error as error:
        raise ProbeError(CheckReason.PROTOCOL, f"the body is not the {encoding} it claims to be: {error}") from None
    answer.cut = answer.cut or bool(decoder.unconsumed_tail)
    return out


def facts_of(answer: Answer, *, excerpt: int = 1024) -> dict[str, object]:
    """Evidence of an answer: status, headers that tell something, the beginning of the body. Cookies are secrets."""
    hidden = {"set-cookie", "www-authenticate", "authorization", "proxy-authenticate"}
    headers = {name: "<hidden>" if name in hidden else value[:200] for name, value in answer.headers[:40]}
    return {
        "status": answer.status,
        "http_version": answer.version,
        "headers": headers,
        "body_bytes": len(answer.body),
        "body_cut": answer.cut,
        "body_excerpt": answer.body[:excerpt].decode("utf-8", "replace"),
    }
