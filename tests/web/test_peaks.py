"""`peaks=N`: a chart of few points that shows what is highest and lowest between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.conftest import START_MS

from tocsin.model.labels import Labels
from tocsin.model.series import ABSENT_NAN, Matrix, QueryResult, ValueType, is_absent
from tocsin.web.prometheus.peaks import peaks

NO = float("nan")


def result(rows: list[list[float]], step_ms: int = 10) -> QueryResult:
    values = np.array(rows, np.float64)
    values[np.isnan(values)] = ABSENT_NAN
    t_ms = np.arange(values.shape[1], dtype=np.int64) * step_ms
    matrix = Matrix(tuple(Labels({"i": str(i)}) for i in range(len(rows))), t_ms, values)
    return QueryResult(ValueType.MATRIX, int(t_ms[-1]), matrix=matrix)


def shown(rows: list[list[float]], points: int) -> tuple[list[int], list[list[float | None]]]:
    matrix = peaks(result(rows), points).matrix
    assert matrix is not None
    values = [[None if np.isnan(v) else v for v in row] for row in matrix.values.tolist()]
    assert np.array_equal(is_absent(matrix.values), np.isnan(matrix.values)), "what is not there is not sent"
    return matrix.t_ms.tolist(), values


def test_extremes_stay_in_the_order_in_which_they_came() -> None:
    row = [0.0, 9, 0, 0, 0, -5, 7, 0, 1, 2, 3, 4]
    t_ms, [values] = shown([row], 6)
    assert (t_ms, values) == ([0, 20, 40, 60, 80, 100], [0, 9, -5, 7, 1, 4])


def test_few_steps_stay_as_they_are_and_more_say_of_how_many() -> None:
    few = result([[1.0, 2, 3]])
    assert peaks(few, 3) is few
    assert peaks(result([[1.0] * 100]), 10).annotations.infos == ("peaks: 100 steps in 10 points",)


def test_a_gap_is_a_gap_and_a_series_without_numbers_is_one_without() -> None:
    _, values = shown([[1, 1, 1, 1, NO, NO, NO, NO, 2, 2, 2, 2], [NO] * 12], 6)
    assert values == [[1, 1, None, None, 2, 2], [None] * 6]


@given(
    st.lists(
        st.one_of(st.just(NO), st.floats(-1e6, 1e6), st.sampled_from([float("inf"), float("-inf")])), min_size=3, max_size=400
    ),
    st.integers(2, 60),
)
def test_the_grid_is_even_the_newest_is_last_and_no_peak_before_it_is_lost(row: list[float], points: int) -> None:
    t_ms, [values] = shown([row], points)
    assert len({b - a for a, b in pairwise(t_ms)}) <= 1
    assert len(t_ms) == len(values) <= max(points, 2) + 1 or len(row) <= points
    numbers = [v for v in row if not np.isnan(v)]
    half = -(-len(row) // points)
    before = [v for v in row[: (len(t_ms) - 1) // 2 * 2 * half] if not np.isnan(v)]
    if len(row) > points and before:
        kept = [v for v in values if v is not None]
        assert max(kept) >= max(before) and min(kept) <= min(before)
        if not np.isnan(row[-1]):
            assert values[-1] == numbers[-1]


async def test_a_peak_of_one_sample_is_on_a_chart_of_a_day(house: Any) -> None:
    samples = [1.0] * 5760
    samples[1234] = 50.0
    house.add({"__name__='queue'": samples})
    viewer = await house.as_role("viewer")
    asked = {"query": "queue", "start": str(START_MS / 1000 - 86_000), "end": str(START_MS / 1000), "step": "15"}
    whole = (await viewer.get("/api/v1/query_range", query={**asked, "peaks": "300"})).json()
    points = whole["data"]["result"][0]["values"]
    assert len(points) <= 301 and max(float(value) for _, value in points) == 50.0
    assert whole["infos"] == ["peaks: 5734 steps in 287 points"]
    bad = await viewer.get("/api/v1/query_range", query={**asked, "peaks": "-1"})
    assert bad.status == 400


@pytest.mark.parametrize(
    ("which", "first", "info"), [("highest", "9", "highest: 2 of 10 series"), ("lowest", "0", "lowest: 2 of 10 series")]
)
async def test_the_lowest_can_be_had_as_the_highest_can(house: Any, which: str, first: str, info: str) -> None:
    house.add({f"__name__='x', i='{i}'": [float(i)] for i in range(10)})
    viewer = await house.as_role("viewer")
    answer = (await viewer.get("/api/v1/query", query={"query": "x", "time": str(START_MS / 1000), which: "2"})).json()
    assert answer["infos"] == [info]
    assert answer["data"]["result"][0]["metric"]["i"] == first
