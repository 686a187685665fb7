"""What a reader narrowed the dashboard to (`?scope=env=prod`), as a test of rows and as matchers inside our own queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from starlette.requests import Request

from tocsin.formats.matchers import MatcherError, parse_matchers
from tocsin.model.labels import METRIC_NAME, Matcher, MatchOp, all_match
from tocsin.model.ports import SampleReader
from tocsin.promql import ast
from tocsin.promql.parser import parse
from tocsin.promql.printer import format_expr
from tocsin.web.problem import Refused

_MOST_MATCHERS = 10
_LONGEST = 2000
_NAMES_FOR_MS = 60_000
_NAMES_SEEN_MS = 600_000
"""A metric that told nothing for so long has no labels any more."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Matchers that hold for everything on a page; none = no scope."""

    matchers: tuple[Matcher, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.matchers)

    @property
    def said(self) -> tuple[str, ...]:
        """As PromQL writes them, in one order: two scopes that say the same are one."""
        return tuple(sorted({str(matcher) for matcher in self.matchers}))

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Of something whose labels are all known: one that is missing is empty."""
        return all_match(self.matchers, labels)

    def judge(self, facts: Mapping[str, str]) -> bool | None:
        """Of something of which only this much is known; None = the scope asks for what is not known of it."""
        if not all(matcher.matches(facts) for matcher in self.matchers if matcher.name in facts):
            return False
        return None if any(matcher.name not in facts and not matcher.matches_empty for matcher in self.matchers) else True

    def touches(self, others: Sequence[Matcher]) -> bool | None:
        """May something be in the scope and be what these matchers mean, too? None = they say nothing of its labels."""
        same = [(mine, other) for mine in self.matchers for other in others if mine.name == other.name]
        for mine, other in same:
            if other.op is MatchOp.EQUAL and not mine.matches_value(other.value):
                return False
            if mine.op is MatchOp.EQUAL and not other.matches_value(mine.value):
                return False
        return True if same else None


EVERYTHING = Scope()


def scope_of(request: Request) -> Scope:
    """`?scope=`, repeated or with commas. Raises Refused 400 where one is no matcher."""
    texts = [text for text in request.query_params.getlist("scope") if text.strip()]
    if sum(map(len, texts)) > _LONGEST:
        raise Refused(400, "bad_scope", f"scope: longer than {_LONGEST} characters")
    found: list[Matcher] = []
    for text in texts:
        try:
            found += parse_matchers(text)
        except MatcherError as error:
            raise Refused(400, "bad_scope", f'scope: {error}; write env=prod or route=~"/pay.*"') from None
    if len(found) > _MOST_MATCHERS:
        raise Refused(400, "bad_scope", f"scope: {len(found)} matchers, at most {_MOST_MATCHERS} are read")
    return Scope(tuple(found))


@dataclass(slots=True)
class LabelNames:
    """Which labels the series of a metric have; asked of the index, and then known for a minute."""

    reader: SampleReader
    _known: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)

    def of(self, metric: str, now_ms: int) -> frozenset[str]:
        """Blocking: call it from a thread."""
        read_ms, names = self._known.get(metric, (0, frozenset()))
        if not read_ms or now_ms - read_ms >= _NAMES_FOR_MS:
            named = Matcher(METRIC_NAME, MatchOp.EQUAL, metric)
            names = frozenset(self.reader.label_names([[named]], now_ms - _NAMES_SEEN_MS, now_ms))
            self._known[metric] = now_ms, names
        return names


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Puts a scope into queries: each matcher into the selectors whose metric has its label, and into no other."""

    scope: Scope
    names_of: Callable[[str], frozenset[str]]

    def query(self, text: str) -> str:
        """The same question, of the scope."""
        narrowed = text
        for selector in sorted(_selectors(text), key=lambda one: -one.span.start):
            if mine := self._of(selector):
                # Its own matchers go first: they name the metric.
                written = format_expr(replace(selector, matchers=(*mine, *selector.matchers)))
                narrowed = narrowed[: selector.span.start] + written + narrowed[selector.span.end :]
        return narrowed

    def without(self, text: str) -> list[str]:
        """Labels that the scope asks for and no metric of the query has: by these its answer is not narrowed."""
        used = {matcher.name for selector in _selectors(text) for matcher in self._of(selector)}
        asked = (matcher.name for matcher in self.scope.matchers if not matcher.matches_empty)
        return sorted({name for name in asked if name not in used})

    def _of(self, selector: ast.VectorSelector) -> list[Matcher]:
        names = self.names_of(ast.metric_of(selector))
        return [matcher for matcher in self.scope.matchers if matcher.name in names]


@lru_cache(maxsize=256)
def _selectors(text: str) -> tuple[ast.VectorSelector, ...]:
    return tuple(ast.selectors(parse(text)))
