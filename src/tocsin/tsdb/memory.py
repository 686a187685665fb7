"""A matrix that grows in place."""

from __future__ import annotations

import mmap

import numpy as np

from tocsin.model.series import ABSENT_BITS, Float64


class GrowingMatrix:
    """float64 [capacity, columns] in anonymous memory. Growing moves page tables (mremap), not the data; rows never
    touched cost nothing. `values` must not be kept across `grow`."""

    def __init__(self, columns: int, rows: int = 1024) -> None:
        self._columns = columns
        self._map = mmap.mmap(-1, rows * columns * 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.values: Float64 = np.frombuffer(self._map, np.float64).reshape(rows, columns)

    def __len__(self) -> int:
        return len(self.values)

    def grow(self, rows: int) -> None:
        old = self.values
        self.values = np.empty((0, self._columns))
        size = rows * self._columns * 8
        try:
            # The view above was the only one, unless a reader still holds a slice.
            del old
            self._map.resize(size)
        except BufferError:
            fresh = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            fresh[: len(self._map)] = self._map[:]
            self._map = fresh
        self.values = np.frombuffer(self._map, np.float64).reshape(rows, self._columns)

    def clear(self, start: int, end: int) -> None:
        """Mark rows as having no samples."""
        self.values.view(np.uint64)[start:end] = np.uint64(ABSENT_BITS)
