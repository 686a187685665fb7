"""The C library's memory: one arena for all threads, and pages that nobody uses go back to the system.

Loading, first scrapes and large queries need ten times of what stays. glibc keeps free pages in the middle of its heaps, and
gives each of our rarely busy threads a heap of its own: 20 MB a process with 100,000 series. Other C libraries do neither.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8


def one_arena() -> None:
    """From now on in this process and those that it forks. The interpreter's lock lets one thread at a time allocate anyway."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return free pages: 0.3 ms of a heap of 100 MB."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
