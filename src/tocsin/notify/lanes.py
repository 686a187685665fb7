"""What a provider can take: a token bucket, a limit of requests at once, and a circuit breaker. Pure arithmetic of now_ms.

It lives in memory only, so `now_ms` is of a clock that never jumps: a pause that a provider asked for lasts as long as it said.

closed ──5 failures in a row──▶ open 5 s ──▶ half open: one probe ──ok──▶ closed
   └──429 with Retry-After──▶ open for as long as the provider says       └──fails──▶ open twice as long, at most 30 s
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tocsin.model.notification import Delivery, DeliveryOutcome
from tocsin.notify.channel import Rate

FAILURES_TO_OPEN = 5
FIRST_OPEN_MS, OPEN_MS = 5_000, 30_000
"""A provider that hiccuped is used again soon; one that stays away is asked now and then."""
_NAP_MS = 5_000
"""How long to wait for an answer that is due; it wakes the deliverer anyway."""


@dataclass(slots=True)
class Lane:
    """State of one provider. `admit` before a send, `release` after it."""

    rate: Rate
    tokens: float = 0.0
    refilled_ms: int = 0
    in_flight: int = 0
    failures: int = 0
    open_until_ms: int = 0
    opened: int = 0
    """How often the breaker has opened since the last sign of life."""

    def __post_init__(self) -> None:
        self.tokens = float(self.rate.burst)

    def wait_ms(self, now_ms: int) -> int:
        """0 = a message may go now; else how long until it is worth asking again."""
        if now_ms < self.open_until_ms:
            return self.open_until_ms - now_ms
        if self.in_flight >= (1 if self._half_open() else self.rate.parallel):
            return _NAP_MS
        self._refill(now_ms)
        if self.tokens < 1:
            return max(round((1 - self.tokens) / self.rate.per_s * 1000), 1)
        return 0

    def admit(self) -> None:
        self.tokens -= 1
        self.in_flight += 1

    def put_back(self) -> None:
        """An admitted message was not sent after all."""
        self.tokens += 1
        self.in_flight -= 1

    def release(self, delivery: Delivery, now_ms: int) -> bool:
        """Take note of an answer; True when the breaker opened by it."""
        self.in_flight -= 1
        if delivery.outcome in (DeliveryOutcome.ACCEPTED, DeliveryOutcome.PERMANENT):
            # A refusal is an answer too: the provider lives.
            self.failures, self.open_until_ms, self.opened = 0, 0, 0
            return False
        if delivery.retry_after_ms:
            self.open_until_ms = max(self.open_until_ms, now_ms + delivery.retry_after_ms)
            self.failures = max(self.failures, FAILURES_TO_OPEN)
            return False
        self.failures += 1
        if self.failures < FAILURES_TO_OPEN or self.is_open(now_ms):
            return False  # What fails while it is open was sent before it opened.
        self.open_until_ms = now_ms + min(FIRST_OPEN_MS << min(self.opened, 8), OPEN_MS)
        self.opened += 1
        return self.opened == 1

    def is_open(self, now_ms: int) -> bool:
        return now_ms < self.open_until_ms

    def _half_open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN

    def _refill(self, now_ms: int) -> None:
        self.tokens = min(float(self.rate.burst), self.tokens + (now_ms - self.refilled_ms) / 1000 * self.rate.per_s)
        self.refilled_ms = now_ms


class Lanes:
    """Every lane by name. From any thread."""

    def __init__(self) -> None:
        self._by_name: dict[str, Lane] = {}
        self._lock = threading.Lock()
        self._admitted: list[Lane] = []
        """What the look under way took; theirs for good once it is committed."""

    def room_in_ms(self, name: str, rate: Rate, now_ms: int) -> int:
        """How long until there may be room; 0 = there is."""
        with self._lock:
            return self._get(name, rate).wait_ms(now_ms)

    def admit(self, name: str, rate: Rate) -> None:
        with self._lock:
            lane = self._get(name, rate)
            lane.admit()
            self._admitted.append(lane)

    def committed(self) -> None:
        """What was taken is being sent."""
        with self._lock:
            self._admitted = []

    def put_back(self) -> None:
        """Free what a look took whose transaction came to nothing."""
        with self._lock:
            for lane in self._admitted:
                lane.put_back()
            self._admitted = []

    def release(self, name: str, rate: Rate, delivery: Delivery, now_ms: int) -> tuple[bool, bool]:
        """Take note of an answer; (whether the lane is paused now, whether the breaker opened by it)."""
        with self._lock:
            lane = self._get(name, rate)
            opened = lane.release(delivery, now_ms)
            return lane.is_open(now_ms), opened

    def paused(self, now_ms: int) -> set[str]:
        with self._lock:
            return {name for name, lane in self._by_name.items() if lane.is_open(now_ms)}

    def shown(self, now_ms: int) -> dict[str, dict[str, int]]:
        """Each provider's state, for status pages."""
        with self._lock:
            return {
                name: {"in_flight": lane.in_flight, "failures": lane.failures, "open_ms": max(lane.open_until_ms - now_ms, 0)}
                for name, lane in self._by_name.items()
            }

    def _get(self, name: str, rate: Rate) -> Lane:
        lane = self._by_name.get(name)
        if lane is None or lane.rate != rate:
            lane = self._by_name[name] = Lane(rate)
        return lane
