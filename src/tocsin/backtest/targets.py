"""What a replay asks again and again about targets, asked once per stretch: which series speak of them at all.

Whoever looks for blind targets judges each by its samples; a series more that has none in range changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsin.model.labels import Labels, Matcher
from tocsin.model.ports import SampleReader, SelectHints
from tocsin.model.series import Selection
from tocsin.rules.blindness import MEMORY_MS, SPEAKING

_NO_HINTS = SelectHints()


class Targets:
    """A `SampleReader` for `rules.blindness.Sight`."""

    def __init__(self, store: SampleReader) -> None:
        self._store = store
        self._from_ms = self._to_ms = 0
        self._known: dict[tuple[Matcher, ...], list[Labels]] = {}

    def enter(self, from_ms: int, to_ms: int) -> None:
        """The looks of the next stretch lie in [from, to]."""
        self._from_ms, self._to_ms = from_ms - MEMORY_MS, to_ms
        self._known.clear()

    def _speaking(self, matchers: tuple[Matcher, ...], start_ms: int, end_ms: int) -> list[Labels] | None:
        """Series in the stretch, or None for what is not remembered."""
        if matchers not in SPEAKING or start_ms < self._from_ms or end_ms > self._to_ms:
            return None
        if matchers not in self._known:
            self._known[matchers] = self._store.series([matchers], self._from_ms, self._to_ms)
        return self._known[matchers]

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        if self._speaking(tuple(matchers), start_ms, end_ms) == []:
            return Selection(())
        return self._store.select(matchers, start_ms, end_ms, hints)

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        known = self._speaking(tuple(matchers[0]), start_ms, end_ms) if len(matchers) == 1 and not limit else None
        return self._store.series(matchers, start_ms, end_ms, limit) if known is None else known

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
        return self._store.label_names(matchers, start_ms, end_ms, limit)

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]:
        return self._store.label_values(name, matchers, start_ms, end_ms, limit)

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        return self._store.metadata()
