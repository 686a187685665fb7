"""Line protocols of mail and shells, the client's side, bounded."""

from __future__ import annotations

import asyncio

from tocsin.collect.io import Connection
from tocsin.collect.outcome import ProbeError
from tocsin.model.check import CheckReason

_MOST_LINES = 200


async def read_line(connection: Connection, what: str) -> str:
    """One line without its end. Raises ProbeError where the other side closes or never ends the line."""
    try:
        line = await connection.reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise ProbeError(CheckReason.PROTOCOL, f"{what}: a line without end") from None
    except asyncio.IncompleteReadError as error:
        said = f" after {error.partial[:60]!r}" if error.partial else ""
        raise ProbeError(CheckReason.PROTOCOL, f"{what}: the connection was closed{said}") from None
    return line.decode("utf-8", "replace").rstrip("\r\n")


async def smtp_reply(connection: Connection, what: str) -> tuple[int, list[str]]:
    """Code and lines of an SMTP answer (RFC 5321 4.2.1). Raises ProbeError for anything else."""
    lines: list[str] = []
    while len(lines) < _MOST_LINES:
        line = await read_line(connection, what)
        if not (len(line) >= 3 and line[:3].isdigit()):
            raise ProbeError(CheckReason.PROTOCOL, f"{what}: {line[:80]!r} is not SMTP")
        lines.append(line[4:])
        if line[3:4] != "-":
            return int(line[:3]), lines
    raise ProbeError(CheckReason.PROTOCOL, f"{what}: the answer does not end")
