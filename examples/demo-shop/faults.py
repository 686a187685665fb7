"""What is broken now, and the script that breaks it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

NAMES = ("site", "errors", "database", "pool", "payments", "latency", "disk")
_LEAST_S = {"errors": 220.0, "pool": 200.0, "payments": 200.0, "latency": 420.0, "disk": 220.0}
"""What a check sees is paged within half a minute; rules over requests wait until it is no blip, and a disk has to fill."""


class Faults:
    """The switches; everything in the shop looks here."""

    def __init__(self) -> None:
        self.active: set[str] = set()
        self._listeners: list[Callable[[str, bool], None]] = []

    def __contains__(self, name: str) -> bool:
        return name in self.active

    def listen(self, listener: Callable[[str, bool], None]) -> None:
        """Call `listener(name, broken)` at every switch."""
        self._listeners.append(listener)

    def set(self, name: str, broken: bool) -> None:
        if name not in NAMES:
            raise ValueError(f"unknown fault {name!r}; known are {', '.join(NAMES)}")
        if broken == (name in self.active):
            return
        (self.active.add if broken else self.active.discard)(name)
        print(f"demo: {name} {'BREAKS' if broken else 'heals'}", flush=True)  # noqa: T201
        for listener in self._listeners:
            listener(name, broken)


async def script(faults: Faults, order: Sequence[str], *, every_s: float, for_s: float, calm_s: float) -> None:
    """Break one thing after the other, for ever."""
    await asyncio.sleep(calm_s)
    for name in itertools.cycle(order):
        faults.set(name, True)
        await asyncio.sleep(max(for_s, _LEAST_S.get(name, 0.0)))
        faults.set(name, False)
        await asyncio.sleep(max(every_s - for_s, 1))
