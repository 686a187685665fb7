"""A WebSocket endpoint accepts the upgrade and may answer a message."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field

from tocsin.collect.check import Check, check
from tocsin.collect.fields import LatencyMs, Pattern, search
from tocsin.collect.http1 import request_bytes
from tocsin.collect.io import Connection, Io
from tocsin.collect.lines import read_line
from tocsin.collect.outcome import Outcome, ProbeError, degraded, failed, passed
from tocsin.collect.tls import TlsOptions
from tocsin.model.check import CheckReason
from tocsin.model.duration import format_duration

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_MOST_HEADERS = 200
_MOST_MESSAGE = 1 << 20


def _ws_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"expected a URL such as wss://shop.example/live, got {value!r}")
    return value


@check("websocket")
class Websocket(Check):
    """A WebSocket endpoint upgrades the connection; with `send` and `expect` it also converses."""

    example = '{name: live updates, websocket: "wss://shop.example/live", send: ping, expect: pong}'
    evidence = "message, status, certificate chain"

    url: Annotated[str, AfterValidator(_ws_url)]
    headers: dict[str, str] = Field({}, description="headers to send")
    send: str = Field("", description="text message to send after the upgrade")
    expect: Pattern = Field("", description="regular expression that a message of the server must match")
    latency: LatencyMs = Field(0, description="a slower upgrade is degraded, such as < 500ms")
    verify: bool = True
    ca_file: str = ""

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"url": value}

    @property
    def target(self) -> str:
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    async def run(self, io: Io) -> Outcome:
        parts = urlsplit(self.url)
        secure = parts.scheme == "wss"
        options = TlsOptions(verify=self.verify, ca_file=self.ca_file, alpn=("http/1.1",)) if secure else None
        start_s = io.monotonic_s()
        connection = await io.connect(parts.hostname or "", parts.port or (443 if secure else 80), tls=options)
        try:
            with io.phase("upgrade", "waiting for the upgrade"):
                await self._upgrade(connection)
            duration_ms = (io.monotonic_s() - start_s) * 1000
            heard = await self._converse(io, connection)
        finally:
            connection.close()
        said = f"upgraded in {duration_ms:.0f} ms"
        facts = {"message": heard[:1000]}
        if self.expect and not search(self.expect, heard):
            return failed(CheckReason.UNEXPECTED_ANSWER, f"{said}, but {heard[:80]!r} does not match {self.expect!r}", facts)
        if self.latency and duration_ms > self.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(self.latency)}", facts)
        return passed(said, facts)

    async def _upgrade(self, connection: Connection) -> None:
        parts = urlsplit(self.url)
        key = base64.b64encode(os.urandom(16))
        headers = {
            "host": parts.netloc.rpartition("@")[2],
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": key.decode(),
            "user-agent": "Tocsin",
            **self.headers,
        }
        await connection.send(request_bytes("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")), headers))
        status = await read_line(connection, "the upgrade")
        answer: dict[str, str] = {}
        for _ in range(_MOST_HEADERS):
            line = await read_line(connection, "the upgrade")
            if not line:
                break
            name, _, value = line.partition(":")
            answer[name.strip().lower()] = value.strip()
        if " 101" not in status:
            raise ProbeError(CheckReason.STATUS, f"the server answered {status[:80]!r}, expected 101")
        wanted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        if answer.get("sec-websocket-accept") != wanted:
            raise ProbeError(CheckReason.PROTOCOL, "the server accepted another key: something between is not a WebSocket server")

    async def _converse(self, io: Io, connection: Connection) -> str:
        """The first message that matches, or the last one seen."""
        if self.send:
            await connection.send(_frame(1, self.send.encode()))
        if not self.expect:
            return ""
        with io.phase("message", "waiting for the expected message"):
            while True:
                opcode, data = await _read_frame(connection)
                if opcode == 9:
                    await connection.send(_frame(10, data))
                elif opcode == 8:
                    raise ProbeError(CheckReason.UNEXPECTED_ANSWER, "the server closed before the expected message came")
                elif opcode in (1, 2) and search(self.expect, text := data.decode("utf-8", "replace")):
                    return text


def _frame(opcode: int, data: bytes) -> bytes:
    """One masked frame (RFC 6455 5.2)."""
    mask = os.urandom(4)
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


async def _read_frame(connection: Connection) -> tuple[int, bytes]:
    head = await connection.reader.readexactly(2)
    size = head[1] & 0x7F
    if size == 126:
        size = int.from_bytes(await connection.reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await connection.reader.readexactly(8), "big")
    if size > _MOST_MESSAGE or head[1] & 0x80:
        raise ProbeError(CheckReason.PROTOCOL, "the server sent a frame that is masked or longer than 1 MiB")
    return head[0] & 0x0F, await connection.reader.readexactly(size)
