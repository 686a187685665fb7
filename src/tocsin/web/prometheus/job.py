"""One query as a value: the same for a thread of this process and for the worker process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.formats.prometheus_json import encode_result, stream_result
from tocsin.model.series import QueryResult
from tocsin.promql.engine import Engine
from tocsin.web.prometheus.highest import highest
from tocsin.web.prometheus.peaks import peaks

_LONG_TEXT = 4096
_STREAM_CELLS = 200_000
"""Answers with more points than this (about 5 MB of JSON) are sent in pieces."""


@dataclass(frozen=True, slots=True)
class QueryJob:
    """An instant query (`step_ms` 0: at `end_ms`) or a range query."""

    query: str
    end_ms: int
    start_ms: int = 0
    step_ms: int = 0
    lookback_ms: int = 0
    timeout_s: float = 0.0
    limit: int = 0
    highest: int = 0
    """Of more series than this only the highest; 0 = all."""
    lowest: int = 0
    """The same from below."""
    peaks: int = 0
    """Of more steps than this about so many points that keep what is lowest and highest; 0 = every step."""
    stats: bool = False
    per_step: bool = False
    kind: str = "query"

    @property
    def kin(self) -> tuple[str | int, ...] | None:
        """What it has in common with the same query at another time: it costs about as much. None for very long texts."""
        if len(self.query) > _LONG_TEXT:
            return None
        return self.query, self.end_ms - self.start_ms if self.step_ms else 0, self.step_ms, self.lookback_ms

    def run(self, engine: Engine, stop: threading.Event | None = None) -> QueryResult:
        """Raises QueryError."""
        if not self.step_ms:
            return engine.instant(self.query, self.end_ms, lookback_ms=self.lookback_ms, timeout_s=self.timeout_s, cancelled=stop)
        return engine.range(
            self.query,
            self.start_ms,
            self.end_ms,
            self.step_ms,
            lookback_ms=self.lookback_ms,
            timeout_s=self.timeout_s,
            cancelled=stop,
        )

    def answered(self, engine: Engine, stop: threading.Event | None = None) -> bytes | Iterator[bytes]:
        """Run and encode. Raises QueryError."""
        return self.encoded(self.run(engine, stop))

    def encoded(self, result: QueryResult) -> bytes | Iterator[bytes]:
        """The answer's body, in pieces when it is large."""
        if self.highest:
            result = highest(result, self.highest)
        if self.lowest:
            result = highest(result, self.lowest, lowest=True)
        if self.peaks:
            result = peaks(result, self.peaks)
        cells = result.matrix.values.size if result.matrix is not None else 0
        if cells > _STREAM_CELLS:
            return stream_result(result, limit=self.limit, stats=self.stats, per_step=self.per_step)
        return encode_result(result, limit=self.limit, stats=self.stats, per_step=self.per_step)
