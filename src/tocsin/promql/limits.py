"""What one query may cost: samples, time, and whether anybody still waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from tocsin.errors import ExecutionError, QueryCanceled, QueryTimeout
from tocsin.model.series import Int64

_TOO_MANY = "query processing would load too many samples into memory in query execution"


class Budget:
    """Checked before each block of work, so that a stop is honoured within milliseconds."""

    def __init__(
        self,
        *,
        max_samples: int,
        deadline_s: float,
        monotonic_s: Callable[[], float],
        cancelled: Callable[[], bool] | threading.Event | None,
        steps: int = 1,
    ) -> None:
        """`steps` of the query: what it reads is counted for each."""
        self._max_samples = max_samples
        self._deadline_s = deadline_s
        self._monotonic_s = monotonic_s
        self._cancelled = cancelled.is_set if isinstance(cancelled, threading.Event) else cancelled
        self.read_at: Int64 = np.zeros(steps, np.int64)
        """Samples that windows or instants looked at, by step."""
        self.samples_held = 0
        self.samples_peak = 0
        self.series_read = 0

    def check(self) -> None:
        """Raises QueryCanceled or QueryTimeout."""
        if self._cancelled is not None and self._cancelled():
            raise QueryCanceled("query was canceled in expression evaluation")
        if self._monotonic_s() > self._deadline_s:
            raise QueryTimeout("query timed out in expression evaluation")

    @property
    def samples_read(self) -> int:
        return int(self.read_at.sum())

    def read(self, samples: Int64) -> None:
        """Count samples that windows or instants looked at, [s] by step."""
        self.read_at += samples

    @contextmanager
    def apart(self, steps: int) -> Iterator[Int64]:
        """What is read inside counts in the array that is given here, not for the query's own steps."""
        outside, self.read_at = self.read_at, np.zeros(steps, np.int64)
        try:
            yield self.read_at
        finally:
            self.read_at = outside

    def room(self, samples: int) -> None:
        """Raises ExecutionError when so many more cells would not fit, before they are made."""
        if self.samples_held + samples > self._max_samples:
            raise ExecutionError(_TOO_MANY)

    def touch(self, samples: int) -> None:
        """So many more are in memory for a moment. Raises ExecutionError beyond the limit."""
        self.hold(samples)
        self.release(samples)

    def hold(self, samples: int) -> None:
        """Claim room for samples in memory. Raises ExecutionError beyond the limit."""
        self.samples_held += samples
        self.samples_peak = max(self.samples_peak, self.samples_held)
        if self.samples_held > self._max_samples:
            raise ExecutionError(_TOO_MANY)

    def release(self, samples: int) -> None:
        self.samples_held -= samples
