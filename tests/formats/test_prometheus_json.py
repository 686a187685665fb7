"""Bytes of the Prometheus API: shapes, numbers, holes, limits, annotations, pieces."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.formats import prometheus_json as api
from tocsin.model.labels import Labels
from tocsin.model.series import (
    ABSENT_NAN,
    Annotations,
    Matrix,
    QueryResult,
    QueryStats,
    RawSeries,
    ValueType,
    Vector,
)

A, B = Labels({"__name__": "up", "job": "a"}), Labels({"__name__": "up", "job": "b"})


def vector(*values: float) -> QueryResult:
    labels = tuple(Labels({"n": str(i)}) for i in range(len(values)))
    t_ms = np.full(len(values), 1_500, np.int64)
    return QueryResult(ValueType.VECTOR, 1_500, vector=Vector(labels, np.array(values), t_ms))


def test_a_vector_names_each_series_and_its_value_as_text() -> None:
    body = json.loads(api.encode_result(vector(1.0, 2.5)))
    assert body == {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                {"metric": {"n": "0"}, "value": [1.5, "1"]},
                {"metric": {"n": "1"}, "value": [1.5, "2.5"]},
            ],
        },
    }


def test_a_matrix_leaves_holes_out_and_keeps_ordinary_nan() -> None:
    values = np.array([[1.0, ABSENT_NAN, 3.0], [math.nan, 2.0, math.inf]])
    matrix = Matrix((A, B), np.array([0, 15_000, 30_500]), values)
    result = json.loads(api.encode_result(QueryResult(ValueType.MATRIX, matrix=matrix)))["data"]["result"]
    assert result[0] == {"metric": {"__name__": "up", "job": "a"}, "values": [[0, "1"], [30.5, "3"]]}
    assert result[1]["values"] == [[0, "NaN"], [15, "2"], [30.5, "+Inf"]]


@pytest.mark.parametrize("first", [range(3, 6), range(1, 6), range(3, 8), range(8), range(0)])
@pytest.mark.parametrize("second", [range(3, 6), range(2)])
def test_steps_at_which_nothing_is_are_left_out_of_every_row(first: range, second: range) -> None:
    values = np.full((2, 8), ABSENT_NAN)
    for row, there in zip(values, (first, second), strict=True):
        row[list(there)] = [n + 0.5 for n in there]
    matrix = Matrix((A, B), np.arange(8) * 15_000, values)
    result = json.loads(api.encode_result(QueryResult(ValueType.MATRIX, matrix=matrix)))["data"]["result"]
    assert [series["values"] for series in result] == [[[n * 15, f"{n}.5"] for n in there] for there in (first, second)]


@pytest.mark.parametrize(
    "row", [[1.0, -7.0, 9e15], [1.0, -0.0, 3.0], [0.5, 2.0, 1e15], [0.25, 0.1, 1e-4], [3.0, 1e17, ABSENT_NAN]]
)
def test_whole_rows_are_spelled_like_single_numbers(row: list[float]) -> None:
    matrix = Matrix((A, B), np.array([0, 15_000, 30_500]), np.array([row, row]))
    for series in json.loads(api.encode_result(QueryResult(ValueType.MATRIX, matrix=matrix)))["data"]["result"]:
        expected = zip([0, 15, 30.5], row, strict=True)
        assert series["values"] == [[t, api.format_value(value)] for t, value in expected if not np.isnan(value)]


def test_scalars_strings_and_range_vectors_have_their_own_shapes() -> None:
    scalar = QueryResult(ValueType.SCALAR, 2_000, scalar=-math.inf)
    assert json.loads(api.encode_result(scalar))["data"] == {"resultType": "scalar", "result": [2, "-Inf"]}
    text = QueryResult(ValueType.STRING, 2_000, text='a "b"')
    assert json.loads(api.encode_result(text))["data"] == {"resultType": "string", "result": [2, 'a "b"']}
    raw = QueryResult(ValueType.MATRIX, raw=(RawSeries(A, np.array([1, 1_000]), np.array([1.0, 2.0])),))
    result = json.loads(api.encode_result(raw))["data"]["result"]
    assert result == [{"metric": {"__name__": "up", "job": "a"}, "values": [[0.001, "1"], [1, "2"]]}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1e6, "1000000"), (0.1, "0.1"), (1e-5, "0.00001"), (1.5e-6, "0.0000015"),
        (9.9e-7, "9.9e-07"), (1e16, "10000000000000000"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (123456789012345678.0, "123456789012345680"),
        (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_as_prometheus_spells_them(value: float, text: str) -> None:
    assert api.format_value(value) == text
    for companion in (1.0, math.nan):
        body = json.loads(api.encode_result(vector(value, companion)))
        assert body["data"]["result"][0]["value"][1] == text


@settings(max_examples=100)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_every_number_reads_back_as_itself(values: list[float]) -> None:
    rows = json.loads(api.encode_result(vector(*values)))["data"]["result"]
    assert [float(row["value"][1]) for row in rows] == values


def test_a_limit_cuts_series_and_says_so() -> None:
    body = json.loads(api.encode_result(vector(1.0, 2.0, 3.0), limit=2))
    assert len(body["data"]["result"]) == 2
    assert body["warnings"] == ["results truncated due to limit"]
    assert "warnings" not in json.loads(api.encode_result(vector(1.0, 2.0), limit=2))


def test_annotations_beyond_ten_are_counted_not_shown() -> None:
    notes = Annotations(tuple(f"w{i}" for i in range(12)), ("note",))
    body = json.loads(api.encode_result(QueryResult(ValueType.SCALAR, annotations=notes)))
    assert body["warnings"][-2:] == ["w9", "2 more warning annotations omitted"]
    assert body["infos"] == ["note"]


def test_statistics_come_on_request() -> None:
    result = QueryResult(ValueType.SCALAR, stats=QueryStats(samples_read=7, samples_peak=5))
    stats = json.loads(api.encode_result(result, stats=True))["data"]["stats"]
    assert stats["samples"] == {"totalQueryableSamples": 7, "peakSamples": 5}


def test_the_stream_is_the_same_bytes_in_small_pieces() -> None:
    labels = tuple(Labels({"n": str(i)}) for i in range(300))
    matrix = Matrix(labels, np.arange(500) * 1000, np.random.default_rng(1).random((300, 500)))
    result = QueryResult(ValueType.MATRIX, matrix=matrix)
    pieces = list(api.stream_result(result))
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 1_000_000
    assert b"".join(pieces) == api.encode_result(result)


def test_bytes_that_are_no_utf8_do_not_break_an_answer() -> None:
    labels = Labels({"path": "a\udcff"})
    body = json.loads(api.encode_series([labels]))
    assert body["data"] == [{"path": "a\ufffd"}]


def test_lists() -> None:
    assert json.loads(api.encode_names(["a", "b"])) == {"status": "success", "data": ["a", "b"]}
    assert json.loads(api.encode_data([], warnings=("w",))) == {"status": "success", "data": [], "warnings": ["w"]}
