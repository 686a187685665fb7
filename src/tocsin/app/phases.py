"""How long a start took, phase by phase: what stands between a crash and the next page."""

from __future__ import annotations

from tocsin.clock import Clock
from tocsin.log import get_log
from tocsin.metrics import Gauge

log = get_log("core")
START_SECONDS = Gauge("tocsin_core_start_seconds", "What the last start of the core took, by phase.", ["phase"])


class Phases:
    """A stop watch with names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._taken: dict[str, float] = {}

    def done(self, phase: str) -> None:
        """This phase ends now and the next one begins."""
        now_s = self._clock.monotonic_s()
        self._taken[phase] = now_s - self._since_s
        self._since_s = now_s
        START_SECONDS.set(self._taken[phase], phase)

    def say(self) -> None:
        """Into the log, in milliseconds."""
        log.info("the core works", **{f"{phase}_ms": round(taken * 1000) for phase, taken in self._taken.items()})
