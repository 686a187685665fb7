"""What one query may cost: samples, time, and whether anybody still waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tocsin.errors import ExecutionError, QueryCanceled, QueryTimeout


class Budget:
    """Checked before each block of work, so that a stop is honoured within milliseconds."""

    def __init__(
        self,
        *,
        max_samples: int,
        deadline_s: float,
        monotonic_s: Callable[[], float],
        cancelled: Callable[[], bool] | threading.Event | None,
    ) -> None:
        self._max_samples = max_samples
        self._deadline_s = deadline_s
        self._monotonic_s = monotonic_s
        self._cancelled = cancelled.is_set if isinstance(cancelled, threading.Event) else cancelled
        self.samples_read = 0
        self.samples_held = 0
        self.samples_peak = 0
        self.series_read = 0

    def check(self) -> None:
        """Raises QueryCanceled or QueryTimeout."""
        if self._cancelled is not None and self._cancelled():
            raise QueryCanceled("query was canceled in expression evaluation")
        if self._monotonic_s() > self._deadline_s:
            raise QueryTimeout("query timed out in expression evaluation")

    def read(self, samples: int) -> None:
        """Count samples that windows or instants looked at."""
        self.samples_read += samples

    def hold(self, samples: int) -> None:
        """Claim room for samples in memory. Raises ExecutionError beyond the limit."""
        self.samples_held += samples
        self.samples_peak = max(self.samples_peak, self.samples_held)
        if self.samples_held > self._max_samples:
            raise ExecutionError("query processing would load too many samples into memory in query execution")

    def release(self, samples: int) -> None:
        self.samples_held -= samples
