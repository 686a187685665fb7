"""A child process's line to its parent: a beat every few seconds, "ready", and lines for the console.

What beats also sees how late the loop is, so that an idle process wakes once a second and not for each of the two.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import deque

from tocsin.app.allocator import give_back
from tocsin.app.supervise import loop_lag_seconds

_LOOK_S = 1.0
_LOOKS_REMEMBERED = 10
_LOOKS_PER_BEAT = 3
_LOOKS_PER_GIVING = 10


class Pulse:
    """A child's line to its parent."""

    def __init__(self, fd: int, restarts: int = 0, process: str = "") -> None:
        self._fd = fd
        self.restarts = restarts
        self._process = process

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
        """Beat, and publish the worst lag of the last ten seconds; above 5 ms something does work that belongs to a thread."""
        loop = asyncio.get_running_loop()
        recent: deque[float] = deque(maxlen=_LOOKS_REMEMBERED)
        for look in itertools.count():
            if look % _LOOKS_PER_BEAT == 0:
                self._send("beat")
            due_s = loop.time() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            recent.append(max(0.0, loop.time() - due_s))
            loop_lag_seconds.set(max(recent), self._process)
            if look % _LOOKS_PER_GIVING == _LOOKS_PER_GIVING - 1:
                give_back()
