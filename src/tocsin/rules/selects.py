"""Which series a rule's expression selects: what it reads, and whose blindness would hide its result."""

from __future__ import annotations

import functools
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp
from tocsin.promql.ast import MatrixSelector, VectorSelector, selectors, walk
from tocsin.promql.parser import parse


@dataclass(frozen=True, slots=True)
class Select:
    """One selector of an expression."""

    matchers: tuple[Matcher, ...]
    range_ms: int
    """Length of its window; 0 for an instant selector."""

    @property
    def metric(self) -> str:
        """The metric's name where the selector fixes it, else empty."""
        for matcher in self.matchers:
            if matcher.name == METRIC_NAME and matcher.op is MatchOp.EQUAL:
                return matcher.value
        return ""


@dataclass(frozen=True, slots=True)
class Selects:
    """All selectors of an expression."""

    items: tuple[Select, ...]

    def reads_any(self, metrics: AbstractSet[str]) -> bool:
        """Whether it may read one of these metrics; a selector without a fixed name may read any."""
        return bool(metrics) and any(not item.metric or item.metric in metrics for item in self.items)


@functools.lru_cache(maxsize=8192)
def selects_of(expr: str) -> Selects:
    """Raises ParseError."""
    tree = parse(expr)
    ranges: dict[VectorSelector, int] = {node.selector: node.range_ms for node in walk(tree) if isinstance(node, MatrixSelector)}
    return Selects(tuple(Select(node.matchers, ranges.get(node, 0)) for node in selectors(tree)))
