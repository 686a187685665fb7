"""A child process's line to its parent: a beat every second, "ready", and lines for the console."""

from __future__ import annotations

import asyncio
import contextlib
import os

_BEAT_S = 1.0


class Pulse:
    """A child's line to its parent."""

    def __init__(self, fd: int, restarts: int = 0) -> None:
        self._fd = fd
        self.restarts = restarts

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, line.encode() + b"\n")

    def ready(self) -> None:
        """The process does its work from now on."""
        self._send("ready")

    def say(self, text: str) -> None:
        """A line for the person at the console."""
        self._send("say " + text.replace("\n", " "))

    async def beat_forever(self) -> None:
        while True:
            self._send("beat")
            await asyncio.sleep(_BEAT_S)
