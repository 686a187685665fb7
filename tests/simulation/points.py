"""Where a life can end: every statement and commit of the writer, every await of a stage, every step of a request.

A point has a name that is the same in every world (`Deliverer._claim_due: UPDATE notifications 3f1a`), so that a run of many
seeds can say how many points were passed and at how many of them some life ended.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


class Crash(BaseException):
    """The process dies here; everything that is not committed is gone."""


@dataclass
class Points:
    """Counts the points that are passed, and ends the life at one of them."""

    chance: random.Random
    armed: bool = False
    dead: bool = False
    passed: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    on_end: Callable[[], None] = lambda: None
    """Called when a life ends at a point."""
    _left: int = 0
    _rare: int = 0
    _salt: bytes = b""

    def arm(self) -> None:
        """A new life that ends after a number of points, or at one of a few drawn by lot: rare ones have their turn too."""
        self.dead, self.armed = False, True
        self._left = self.chance.choice((40, 200, 700, 1500))
        self._left = self.chance.randint(self._left // 4, self._left)
        self._rare = self.chance.randint(0, 300) if self.chance.random() < 0.7 else 0
        self._salt = self.chance.randbytes(4)
        self._left += 2500 if self._rare else 0

    def disarm(self) -> None:
        """A life that ends only by `kill`."""
        self.dead, self.armed = False, False

    def kill(self) -> None:
        self.dead = True

    def __call__(self, name: str) -> None:
        """Pass a point; raises Crash when the life ends here, or has ended."""
        if self.dead or self.visit(name):
            raise Crash(name)

    def visit(self, name: str) -> bool:
        """Pass a point; True when the life ends here."""
        self.passed[name] += 1
        if not self.armed:
            return False
        self._left -= 1
        if self._rare:
            self._rare -= 1
            ends = self._left <= 0
        else:
            ends = self._left <= 0 or (self._left > 2000 and zlib.crc32(name.encode(), zlib.crc32(self._salt)) % 40 == 0)
        if ends:
            self.dead, self.armed = True, False
            self.crashed[name] += 1
            self.on_end()
        return ends
