"""The cells of open windows: memory that grows in place and goes back to the system scrape by scrape.

group 0   slot 0   [ 64 rows ]  512 bytes in a row        One scrape of a group is one run of bytes; eight slots of
          slot 1   [ 64 rows ]                            a group are a page (4 KB), so that a window costs what
          ...                                             it holds, not what it may hold.
group 1   slot 0   [ 64 rows ]
"""

from __future__ import annotations

import contextlib
import mmap

import numpy as np
import numpy.typing as npt

from tocsin.model.series import Float64

SLOTS = 64
GROUP_BITS = 6
GROUP_ROWS = 1 << GROUP_BITS
_GROUP_BYTES = SLOTS * GROUP_ROWS * 8
_PAGE_SLOTS = max(mmap.PAGESIZE // (GROUP_ROWS * 8), 1)
"""Slots of a group that are one page; more than there are where pages are large."""


class Cells:
    """float64 [groups, SLOTS, GROUP_ROWS] in anonymous memory. Growing moves page tables (mremap), not the data; what was
    never written, or released since, costs nothing and reads as anything. `values` must not be kept across `grow`."""

    def __init__(self, groups: int) -> None:
        self._map = _anonymous(groups * _GROUP_BYTES)
        self.values = self._view(groups)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def bits(self) -> npt.NDArray[np.uint64]:
        return self.values.view(np.uint64)

    def _view(self, groups: int) -> Float64:
        return np.frombuffer(self._map, np.float64).reshape(groups, SLOTS, GROUP_ROWS)

    def grow(self, groups: int) -> None:
        old = self.values
        self.values = np.empty((0, SLOTS, GROUP_ROWS))
        size = groups * _GROUP_BYTES
        try:
            # The view above was the only one, unless a reader still holds a slice.
            del old
            self._map.resize(size)
        except BufferError:
            fresh = _anonymous(size)
            fresh[: len(self._map)] = self._map[:]
            self._map = fresh
        self.values = self._view(groups)

    def release(self, first: int, last: int, keep: set[int]) -> None:
        """Give back the memory of groups first..last except pages with a slot in `keep`."""
        kept = {slot // _PAGE_SLOTS for slot in keep}
        if not kept:
            self._map.madvise(mmap.MADV_DONTNEED, first * _GROUP_BYTES, (last + 1 - first) * _GROUP_BYTES)
            return
        gone = [page for page in range(SLOTS // _PAGE_SLOTS) if page not in kept]
        runs = [(page, gone[at:]) for at, page in enumerate(gone) if at == 0 or gone[at - 1] != page - 1]
        for page, rest in runs:
            length = next((count for count, other in enumerate(rest) if other != page + count), len(rest))
            for group in range(first, last + 1):
                self._map.madvise(mmap.MADV_DONTNEED, group * _GROUP_BYTES + page * mmap.PAGESIZE, length * mmap.PAGESIZE)


def _anonymous(size: int) -> mmap.mmap:
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        # Where every page is a huge one, releasing small ones is of no use. A kernel without them says EINVAL.
        made.madvise(mmap.MADV_NOHUGEPAGE)
    return made
