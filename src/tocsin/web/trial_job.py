"""A backtest as a value: what the worker process is handed, and the JSON that it answers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson

from tocsin.backtest.columns import ColumnQueryable, Columns
from tocsin.backtest.replay import Firing, Replayer, slots
from tocsin.backtest.summary import RuleSummary, summarise
from tocsin.backtest.sweep import Comparison, candidates, comparison_of, firings_per_threshold
from tocsin.errors import ExecutionError
from tocsin.model.ports import SampleReader
from tocsin.model.rule import AlertRule, RuleGroup
from tocsin.promql.engine import Engine
from tocsin.rules.native import native_of

_MOST_FIRINGS = 1_000
_STRETCH = 4_096
_COARSE = 1_000
_PLAIN = "the curve of limits counts with `for` alone, without the rule's own hold and clear"


@dataclass(frozen=True, slots=True)
class TrialFiring:
    labels: dict[str, str]
    fired_ms: int
    resolved_ms: int
    """0 = still firing at the end."""
    value: float | None


@dataclass(frozen=True, slots=True)
class TrialThreshold:
    """How often the rule would have fired with another number."""

    threshold: float
    firings: int


@dataclass(frozen=True, slots=True)
class TrialAnswer:
    """What a rule would have done."""

    start_ms: int
    """As asked for, or when there was first something to compare."""
    end_ms: int
    firings: Sequence[TrialFiring]
    """The newest ones, oldest first."""
    cut: bool
    """There were more firings than are shown."""
    summary: RuleSummary | None
    """None = it would never have fired."""
    threshold: float | None
    """The number the rule compares with, where it has that form."""
    thresholds: Sequence[TrialThreshold]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class TrialJob:
    """One rule over one stretch of history."""

    expr: str
    start_ms: int
    end_ms: int
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    interval_ms: int = 15_000
    sweep: bool = False
    zone: str = "UTC"
    settings: str = ""
    """The annotation `tocsin` of the rule (rules/native.py)."""
    kind: str = "backtest"

    def run(self, engine: Engine, stop: threading.Event | None = None) -> TrialAnswer:
        """Raises QueryError. `stop` is heeded between stretches."""
        group = self._group()

        def build(reader: SampleReader) -> Engine:
            return engine if reader is engine.reader else Engine(reader, engine.options)

        def heed(_t_ms: int) -> None:
            if stop is not None and stop.is_set():
                raise ExecutionError("nobody waits for this backtest any more")

        seen = self._seen(engine)
        start_ms = max(self.start_ms, seen.began_ms) if seen is not None else self.start_ms
        replayer = Replayer([group], start_ms=start_ms, end_ms=self.end_ms, reader=engine.reader, build=build)
        replay = replayer.run(heed)
        for error in replay.errors.values():
            raise ExecutionError(error)
        swept = self._swept(engine, group, seen, start_ms) if self.sweep and seen is not None else []
        shown = replay.firings[-_MOST_FIRINGS:]
        return TrialAnswer(
            start_ms,
            self.end_ms,
            [_shown(firing) for firing in shown],
            len(shown) < len(replay.firings),
            next(iter(summarise(replay, self.zone)), None),
            seen.compared.threshold if seen is not None else None,
            swept,
            [*replay.notes, *([_PLAIN] if swept and self.settings else [])],
        )

    def answered(self, engine: Engine, stop: threading.Event | None = None) -> bytes:
        """Run and encode. Raises QueryError."""
        return orjson.dumps(self.run(engine, stop), option=orjson.OPT_SERIALIZE_NUMPY)

    def _group(self) -> RuleGroup:
        rule = AlertRule("trial", "trial", "Trial", self.expr, self.for_ms, self.keep_firing_for_ms)
        if self.settings:
            semantics, native = native_of(self.settings, self.expr)
            rule = replace(rule, semantics=semantics, native=native)
        return RuleGroup("trial", "trial", self.interval_ms, (rule,))

    def _seen(self, engine: Engine) -> _Seen | None:
        """A coarse look at what the rule compares; None for a rule without a threshold, or with nothing to compare."""
        try:
            compared = comparison_of(self.expr)
        except ExecutionError:
            return None
        # A store that is minutes old may lie between two coarse steps: then the newest stretch is looked at closely.
        for span_ms in (self.end_ms - self.start_ms, _COARSE * self.interval_ms):
            step_ms = max(self.interval_ms, span_ms // _COARSE)
            queryable = ColumnQueryable(engine, points=_COARSE + 1)
            columns = queryable.fetch(compared.left, max(self.start_ms, self.end_ms - span_ms), self.end_ms, step_ms)
            there = np.flatnonzero(columns.any())
            if there.size:
                return _Seen(compared, columns, int(columns.t_ms[there[0]]) - step_ms)
        return None

    def _swept(self, engine: Engine, group: RuleGroup, seen: _Seen, start_ms: int) -> list[TrialThreshold]:
        """Firings for every threshold worth showing."""
        grid = slots(group, start_ms - 1, self.end_ms)
        queryable = ColumnQueryable(engine, points=_STRETCH)
        held = -(-self.for_ms // self.interval_ms)
        limits = candidates(seen.columns, seen.compared.threshold)
        counts = np.zeros(len(limits), dtype=np.int64)
        for first in range(0, grid.size, _STRETCH):
            part = grid[first : first + _STRETCH]
            columns = queryable.fetch(seen.compared.left, int(part[0]), int(part[-1]), self.interval_ms)
            counts += np.array(firings_per_threshold(columns, seen.compared.sign, held, limits))
            queryable.forget()
        return [TrialThreshold(limit, int(n)) for limit, n in zip(limits, counts, strict=True)]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a coarse look over the whole time found."""

    compared: Comparison
    columns: Columns
    began_ms: int
    """When there was first something to compare: rates per week count from here, not from before the first sample."""


def _shown(firing: Firing) -> TrialFiring:
    value = firing.value if np.isfinite(firing.value) else None
    return TrialFiring(dict(firing.labels), firing.fired_ms, firing.resolved_ms, value)
