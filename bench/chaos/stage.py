"""One program, its services and its receivers on a stage: what scenarios are written in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from bench.chaos.receivers import CHANNELS, Receivers
from bench.chaos.services import Services
from bench.chaos.side import Side, SmallDisk

_TOLD_S, _OVER_S, _CALM_S = 120.0, 100.0, 5.0
"""How long to wait for every page, for every end, and for what should not come."""


class Stage:
    """`fault_s`: how long a fault lasts."""

    def __init__(
        self, side: Side, services: Services, receivers: Receivers, fault_s: float, disk: SmallDisk | None = None
    ) -> None:
        self.side, self.services, self.receivers, self.fault_s, self.disk = side, services, receivers, fault_s, disk
        self.back_s = 0.0
        self.silenced = False
        self.acknowledged_s = 0.0
        self._marks = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Started, and every service seen to be well."""
        try:
            self.side.start()
            scrapes = self.services.scrapes
            self.until(lambda: self.services.scrapes >= scrapes + 3, 60)
            yield
        finally:
            self.side.end()

    # -- services --

    def fail(self, share: float = 1.0) -> None:
        """The first `share` of the services fail."""
        self.services.fail(self.services.names[: round(len(self.services.names) * share)])

    def fail_and_tell(self) -> None:
        self.fail()
        self.until_told()

    def until_told(self) -> None:
        self.until(lambda: self.told("firing") >= len(self.services.since) * len(CHANNELS), _TOLD_S)

    def recover_and_tell(self) -> None:
        """Every service recovers; wait for the messages about it and for those that must not come."""
        self.services.recover()
        self.until_over()

    def until_over(self) -> None:
        self.until(lambda: self.told("resolved") >= len(self.services.ended) * len(CHANNELS), _OVER_S)
        self.wait(_CALM_S)

    # -- time --

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done():
                return True
            time.sleep(0.1)
        return done()

    def told(self, kind: str) -> int:
        """How many (service, channel) pairs have heard of it."""
        return sum(len({t.service for t in self.receivers.told(channel) if t.kind == kind}) for channel in CHANNELS)

    # -- faults --

    def kill(self) -> None:
        """kill -9, and measure how long until an alert that is posted now has paged somebody."""
        begun = time.monotonic()
        self.side.kill()
        self._marks += 1
        mark = f"mark-{self._marks}-of-{begun:.6f}"
        now = datetime.now(UTC)
        alert = {
            "labels": {"alertname": "Back", "mark": mark},
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
        }
        self._until_fast(lambda: self.side.post("/api/v2/alerts", [alert]))
        self._until_fast(lambda: self.receivers.webhook.heard_back(mark))
        self.back_s = max(self.back_s, time.monotonic() - begun)

    def silence_everything(self) -> None:
        now = datetime.now(UTC)
        body = {
            "matchers": [{"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "chaos",
            "comment": "quiet",
        }
        self.until(lambda: self.side.post("/api/v2/silences", body), 30)
        self.silenced = True

    def _until_fast(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not done() and time.monotonic() < deadline:
            time.sleep(0.02)
