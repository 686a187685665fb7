"""Redis's protocol (RESP2), the client's side, over a connection that was judged. Bounded: an answer has a largest size."""

from __future__ import annotations

import asyncio
from typing import Any

from tocsin.collect.io import Connection
from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_MOST_BYTES = 4 << 20
_MOST_ITEMS = 10_000


class RespError(Exception):
    """What the server answered instead: a value, returned and not raised."""


class RespClient:
    """One question at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, *words: str) -> Any:
        """str, int, list, None or RespError. Raises ProbeError for what is not RESP."""
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word.encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        await self._connection.send(b"".join(parts))
        return await self._answer(depth=0)

    async def _answer(self, *, depth: int) -> Any:
        line = await self._line()
        kind, rest = line[:1], line[1:].decode("utf-8", "replace")
        try:
            match kind:
                case b"+":
                    return rest
                case b"-":
                    return RespError(rest)
                case b":":
                    return int(rest)
                case b"$":
                    return await self._text(int(rest))
                case b"*" if depth < 8 and int(rest) <= _MOST_ITEMS:
                    return [await self._answer(depth=depth + 1) for _ in range(int(rest))] if int(rest) >= 0 else None
        except ValueError:
            pass
        raise ProbeError(CheckReason.PROTOCOL, f"the answer is not Redis's protocol; it begins with {line[:40]!r}")

    async def _line(self) -> bytes:
        try:
            line = await self._connection.reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError:
            raise ProbeError(CheckReason.PROTOCOL, "the answer is not Redis's protocol: a line without end") from None
        return line[:-2]

    async def _text(self, length: int) -> str | None:
        if length < 0:
            return None
        if length > _MOST_BYTES:
            raise ProbeError(CheckReason.PROTOCOL, f"the answer is {length} bytes long")
        data = await self._connection.reader.readexactly(length + 2)
        return data[:-2].decode("utf-8", "replace")
