"""Asks what a page shows of metrics, at one instant and over the hour before it."""

from __future__ import annotations

from collections.abc import Callable

from tocsin.errors import QueryError
from tocsin.model.ports import Queryable
from tocsin.model.series import QueryResult
from tocsin.web.api.columns import by_label, trends

_TREND_MS, _STEP_MS = 3_600_000, 120_000
# Of an installation that knows no more than a few minutes: its first lines are there after half a minute.
_YOUNG_TREND_MS, _YOUNG_STEP_MS = 450_000, 15_000
_KNOWN_POINTS = 4


class Asker:
    """Queries at one instant; a query that fails leaves its place empty instead of taking the page down."""

    def __init__(self, engine: Queryable, now_ms: int, narrow: Callable[[str], str] | None = None) -> None:
        """`narrow` puts a scope into every query."""
        self._engine = engine
        self._now_ms = now_ms
        self._narrow: Callable[[str], str] | None = None  # how young the installation is does not hang on a scope
        self.failures: list[str] = []
        self._trend_ms, self._step_ms = _TREND_MS, _STEP_MS
        self._end_ms = now_ms - now_ms % _YOUNG_STEP_MS
        if 0 < sum(value is not None for value in self.trend("max(node_load1)").get((), ())) < _KNOWN_POINTS:
            self._trend_ms, self._step_ms = _YOUNG_TREND_MS, _YOUNG_STEP_MS
        self._narrow = narrow

    def now(self, query: str, *names: str) -> dict[tuple[str, ...], float]:
        result = self._try(lambda: self._engine.instant(self._of(query), self._now_ms))
        return by_label(result, *names) if result else {}

    def trend(self, query: str, *names: str) -> dict[tuple[str, ...], list[float | None]]:
        result = self._try(
            lambda: self._engine.range(self._of(query), self._end_ms - self._trend_ms, self._end_ms, self._step_ms)
        )
        return trends(result, *names) if result else {}

    def _of(self, query: str) -> str:
        return query if self._narrow is None else self._narrow(query)

    def _try(self, ask: Callable[[], QueryResult]) -> QueryResult | None:
        try:
            return ask()
        except QueryError as error:
            self.failures.append(str(error))
            return None
