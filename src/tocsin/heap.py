"""The C library's heap, for processes that work on large arrays.

glibc maps an array of more than 128 KB anew and gives it back when it is freed, and every page of it costs a fault each time:
half of what `rate` over 1,000 series and 1,000 steps took. With a pool that stays, numpy's temporaries lie where the ones before
them lay. `app.allocator.give_back` returns what nobody uses. Other C libraries go on as they do.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_POOL_BYTES = 64 << 20
_LARGEST_BYTES = 32 << 20
"""The most that glibc takes."""


def keep_pages() -> None:
    """From now on in this process: up to 64 MB of what is freed stay for the next arrays."""
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, _POOL_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
