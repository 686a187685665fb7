"""The engine's door: result shapes, limits, stops, and that the layout of the data never shows in an answer."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.promql_random import START_MS, QueryMaker, as_arrays, random_series

from tocsin.errors import ExecutionError, ParseError, QueryCanceled, QueryError, QueryTimeout
from tocsin.formats.prometheus_json import encode_result
from tocsin.model.labels import Labels, Matcher
from tocsin.model.ports import SelectHints
from tocsin.model.series import Selection, SeriesGroup, ValueType, absent, is_absent
from tocsin.promql.description import parse_series
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.promql.memory import MemoryReader

EXPERIMENTAL = frozenset({"promql-experimental-functions", "promql-duration-expr"})


def store(*descriptions: str, step_ms: int = 60_000) -> MemoryReader:
    reader = MemoryReader()
    for description in descriptions:
        labels, values = parse_series(description)
        points = [(i * step_ms, value) for i, value in enumerate(values) if value is not None]
        reader.append(labels, [t for t, _ in points], [value for _, value in points])
    return reader


class Stopwatch:
    """A clock that moves by one second whenever it is looked at."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_ms(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        self.seconds += 1.0
        return self.seconds

    async def sleep_until_ms(self, t_ms: int) -> None:
        raise AssertionError("a query never sleeps")


def test_each_type_has_its_own_field() -> None:
    engine = Engine(store('up{job="a"} 1x10'))
    vector = engine.instant("up", 60_000)
    assert vector.type is ValueType.VECTOR and vector.vector is not None
    assert vector.vector.labels == (Labels({"__name__": "up", "job": "a"}),)
    assert engine.instant("1 + 1", 0).scalar == 2.0
    assert engine.instant('"text"', 0).text == "text"
    raw = engine.instant("up[2m]", 120_000).raw
    assert raw is not None and raw[0].t_ms.tolist() == [60_000, 120_000]
    matrix = engine.range("up * 2", 0, 120_000, 60_000).matrix
    assert matrix is not None and matrix.values.tolist() == [[2.0, 2.0, 2.0]]


def test_cells_without_a_point_are_absent_in_a_range() -> None:
    engine = Engine(store("x 1 2 stale _ 5"))
    matrix = engine.range("x", 0, 240_000, 60_000).matrix
    assert matrix is not None
    assert is_absent(matrix.values).tolist() == [[False, False, True, True, False]]


def test_a_query_may_be_given_as_a_tree() -> None:
    engine = Engine(store("x 1"))
    expr = engine.parse("x + 1")
    result = engine.instant(expr, 0)
    assert result.vector is not None and result.vector.values.tolist() == [2.0]


def test_limits_refuse_with_prometheuss_words() -> None:
    engine = Engine(store(*(f'x{{i="{i}"}} 1x100' for i in range(50))), EngineOptions(max_samples=1000))
    with pytest.raises(ExecutionError, match="query processing would load too many samples into memory"):
        engine.range("x", 0, 6_000_000, 60_000)
    with pytest.raises(ExecutionError, match="exceeded maximum resolution of 11,000 points"):
        engine.range("x", 0, 12_000_000, 1_000)
    with pytest.raises(ExecutionError, match='invalid expression type "range vector" for range query'):
        engine.range("x[5m]", 0, 60_000, 60_000)
    with pytest.raises(ExecutionError, match="zero or negative query resolution step"):
        engine.range("x", 0, 60_000, 0)
    with pytest.raises(ParseError):
        engine.instant("x +", 0)


def test_subquery_with_too_many_steps_ends_in_an_error_not_in_the_allocator() -> None:
    engine = Engine(store("x 1"))
    with pytest.raises(ExecutionError, match="too many samples into memory"):
        engine.instant("max_over_time(nothing[1y:1ms])", 0)


def test_a_query_that_takes_too_long_or_that_nobody_waits_for_stops() -> None:
    reader = store("x 1x100")
    with pytest.raises(QueryTimeout, match="query timed out in expression evaluation"):
        Engine(reader, clock=Stopwatch()).instant("sum(sum(sum(x)))", 0, timeout_s=2.0)
    gone = threading.Event()
    gone.set()
    with pytest.raises(QueryCanceled):
        Engine(reader).instant("x", 0, cancelled=gone)
    looked = []
    Engine(reader).instant("rate(x[5m])", 0, cancelled=lambda: bool(looked.append(1)))
    assert len(looked) >= 2, "asked once per node and block"


def test_the_lookback_can_be_set_per_query() -> None:
    engine = Engine(store("x 1"))
    assert engine.instant("x", 299_999).vector.labels
    assert not engine.instant("x", 300_000).vector.labels
    assert engine.instant("x", 300_000, lookback_ms=400_000).vector.labels


def test_statistics_count_samples_and_series() -> None:
    stats = Engine(store('x{a="1"} 1x10', 'x{a="2"} 1x10')).instant("sum_over_time(x[5m])", 600_000).stats
    assert (stats.series_read, stats.samples_read) == (2, 10)


def test_features_are_off_unless_asked_for() -> None:
    with pytest.raises(ParseError, match="is not enabled"):
        Engine(store("x 1")).instant("mad_over_time(x[5m])", 0)
    assert Engine(store("x 1"), EngineOptions(features=EXPERIMENTAL)).instant("mad_over_time(x[5m])", 0).vector is not None


class Regrouped:
    """The same series in another layout: all of a name on one grid with holes, or each alone."""

    def __init__(self, inner: MemoryReader, layout: str) -> None:
        self.inner = inner
        self.layout = layout

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints) -> Selection:
        found = self.inner.select(matchers, start_ms, end_ms, hints)
        singles = [
            SeriesGroup((labels,), group.t_ms, group.values[row : row + 1])
            for group in found.groups
            for row, labels in enumerate(group.labels)
        ]
        if self.layout == "alone" or not singles:
            return Selection(tuple(singles))
        grid = np.unique(np.concatenate([group.t_ms for group in singles]))
        values = absent((len(singles), grid.size))
        for row, group in enumerate(singles):
            values[row, np.searchsorted(grid, group.t_ms)] = group.values[0]
        return Selection((SeriesGroup(tuple(group.labels[0] for group in singles), grid, values),))

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_the_layout_of_the_store_does_not_show(seed: int) -> None:
    rng = random.Random(seed)
    reader = MemoryReader((labels, *as_arrays(samples)) for labels, samples in random_series(random.Random(seed % 5)))
    maker = QueryMaker(rng)
    layouts = (reader, Regrouped(reader, "alone"), Regrouped(reader, "grid"))
    engines = [Engine(each, EngineOptions(features=EXPERIMENTAL)) for each in layouts]
    for _ in range(5):
        query = maker.query()
        if any(word in query for word in ("topk", "bottomk", "limitk", "sort", "%", "^")):
            continue  # the order of series, and the last bit, may differ
        start = START_MS + rng.randrange(5_000_000)
        answers = [_answer(engine, query, start) for engine in engines]
        for other in answers[1:]:
            assert _close(answers[0], other), query


def _answer(engine: Engine, query: str, start: int) -> dict[str, list[float]] | str:
    try:
        result = engine.range(query, start, start + 600_000, 45_000)
        encode_result(result)
    except QueryError as error:
        return type(error).__name__
    assert result.matrix is not None
    return {str(labels): values.tolist() for labels, values in zip(result.matrix.labels, result.matrix.values, strict=True)}


def _close(a: dict[str, list[float]] | str, b: dict[str, list[float]] | str) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    if a.keys() != b.keys():
        return False
    return all(np.allclose(a[key], b[key], rtol=1e-9, atol=1e-9, equal_nan=True) for key in a)
