"""Recording rules in a backtest: recomputed, so that a rule can be tried before its inputs were ever recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tocsin.backtest.columns import Columns
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from tocsin.model.ports import SampleReader, SelectHints
from tocsin.model.rule import AlertRule, RecordingRule, RuleGroup
from tocsin.model.series import STALE_BITS, Float64, Int64, Selection, Vector
from tocsin.promql.memory import MemoryReader, names_of, values_of
from tocsin.rules.recording import recorded
from tocsin.rules.selects import selects_of

_NO_HINTS = SelectHints()


def needed(groups: Iterable[RuleGroup], alerts: Iterable[AlertRule]) -> list[tuple[RuleGroup, RecordingRule]]:
    """The recording rules that these alerts read, directly or through others; each behind those it reads itself."""
    rules = [(group, rule) for group in groups for rule in group.rules if isinstance(rule, RecordingRule)]
    wanted: list[tuple[RuleGroup, RecordingRule]] = []
    readers = [selects_of(alert.expr) for alert in alerts]
    while readers:
        fresh = [
            (group, rule)
            for group, rule in rules
            if (group, rule) not in wanted and any(reader.reads_any({rule.name}) for reader in readers)
        ]
        wanted += fresh
        readers = [selects_of(rule.expr) for _, rule in fresh]
    return _in_order(wanted)


def _in_order(rules: Sequence[tuple[RuleGroup, RecordingRule]]) -> list[tuple[RuleGroup, RecordingRule]]:
    """Inputs before what reads them; a circle stays in the order of the file."""
    left, ordered = list(rules), []
    while left:
        names = {rule.name for _, rule in left}
        ready = [item for item in left if not selects_of(item[1].expr).reads_any(names - {item[1].name})] or left[:1]
        ordered += ready
        left = [item for item in left if item not in ready]
    return ordered


def samples_of(rule: RecordingRule, columns: Columns) -> Iterator[tuple[Labels, Int64, Float64]]:
    """The series a recording rule writes at these instants: labels, t_ms, values; a staleness marker where one ends.

    Raises ExecutionError where two elements end with the same labels.
    """
    names = list(recorded(rule, Vector(columns.labels, np.zeros(len(columns.labels)), np.zeros(len(columns.labels), np.int64))))
    for row, labels in enumerate(names):
        here = columns.present[row]
        ended = np.zeros_like(here)
        ended[1:] = here[:-1] & ~here[1:]
        values = columns.values[row].copy()
        values.view(np.uint64)[ended] = STALE_BITS
        kept = here | ended
        yield labels, columns.t_ms[kept], values[kept]


class Overlay:
    """A `SampleReader`: the store, with the series of `names` taken from memory instead."""

    def __init__(self, store: SampleReader, names: Iterable[str]) -> None:
        self._store = store
        self._memory = MemoryReader()
        self._hidden = [Matcher(METRIC_NAME, MatchOp.NOT_EQUAL, name) for name in sorted(set(names))]

    def write(self, labels: Labels, t_ms: Int64, values: Float64) -> None:
        self._memory.append(labels, t_ms, values)

    def forget_before(self, t_ms: int) -> None:
        self._memory.forget_before(t_ms)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        stored = self._store.select([*matchers, *self._hidden], start_ms, end_ms, hints)
        memory = self._memory.select(matchers, start_ms, end_ms, hints)
        return Selection((*stored.groups, *memory.groups), stored.warnings)

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        stored = self._store.series([[*each, *self._hidden] for each in matchers or [[]]], start_ms, end_ms, limit)
        found = sorted({*stored, *self._memory.series(matchers, start_ms, end_ms)})
        return found[:limit] if limit else found

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
        return names_of(self.series(matchers, start_ms, end_ms), limit)

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]:
        return values_of(name, self.series(matchers, start_ms, end_ms), limit)

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        return self._store.metadata()
