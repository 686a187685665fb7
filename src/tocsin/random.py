"""Randomness for the running program; tests and simulation hand in a seeded one."""

from __future__ import annotations

import os
import random


class SystemRandom:
    """The operating system's randomness: good enough for secrets."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def random(self) -> float:
        return self._random.random()

    def randbytes(self, n: int) -> bytes:
        return os.urandom(n)
