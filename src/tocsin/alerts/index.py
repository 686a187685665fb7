"""Many matcher sets asked about many alerts: which sets match? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.labels import Labels, Matcher, MatchOp, all_match


class MatcherIndex:
    """A set with an equality on some label is looked up by that value: a thousand sets cost an alert a few tests."""

    def __init__(self, sets: Sequence[Sequence[Matcher]]) -> None:
        self._sets = [sorted(matchers, key=lambda m: m.op is not MatchOp.EQUAL) for matchers in sets]
        self._by_value: dict[tuple[str, str], list[int]] = {}
        self._others: list[int] = []
        for number, matchers in enumerate(self._sets):
            first = matchers[0] if matchers else None
            if first is not None and first.op is MatchOp.EQUAL and first.value:
                self._by_value.setdefault((first.name, first.value), []).append(number)
            else:
                self._others.append(number)

    def matching(self, labels: Labels) -> list[int]:
        """Numbers of the sets all of whose matchers match, ascending."""
        candidates = list(self._others)
        if self._by_value:
            for pair in labels.pairs:
                candidates += self._by_value.get(pair, ())
        return sorted(number for number in candidates if all_match(self._sets[number], labels))
