"""`highest=N`: of many series those that end highest, with how many there were."""

from __future__ import annotations

import numpy as np
import orjson

from tocsin.model.labels import Labels
from tocsin.model.series import Annotations, Matrix, QueryResult, ValueType, Vector
from tocsin.web.prometheus.highest import highest

NAN = float("nan")
SERIES = tuple(Labels({"i": str(i)}) for i in range(4))


def names(labels: tuple[Labels, ...]) -> list[str]:
    return [one["i"] for one in labels]


def test_rows_are_chosen_by_their_last_number_and_holes_do_not_count() -> None:
    values = np.array([[9, 1, 1.0], [2, 5, NAN], [NAN, NAN, NAN], [0, 0, 3]])
    result = QueryResult(
        ValueType.MATRIX, matrix=Matrix(SERIES, np.array([0, 15, 30]), values), annotations=Annotations((), ("x",))
    )
    found = highest(result, 2)
    assert found.matrix is not None
    assert names(found.matrix.labels) == ["1", "3"]
    assert found.matrix.values[1].tolist() == [0, 0, 3]
    assert found.annotations.infos == ("x", "highest: 2 of 4 series")
    every = highest(result, 3).matrix
    assert every is not None and names(every.labels) == ["1", "3", "0"]


def test_few_series_stay_as_they_are() -> None:
    result = QueryResult(ValueType.VECTOR, vector=Vector(SERIES, np.array([1, 3, 3.0, NAN]), np.zeros(4, np.int64)))
    assert highest(result, 4) is result
    found = highest(result, 3).vector
    assert found is not None and names(found.labels) == ["1", "2", "0"]
    scalar = QueryResult(ValueType.SCALAR, scalar=1.0)
    assert highest(scalar, 1) is scalar


async def test_over_http(house) -> None:
    asked = "/api/v1/query?query=label_replace(vector(1),'a','x','','')%20or%20label_replace(vector(2),'a','y','','')&time=1"
    assert len(orjson.loads((await house.client.get(asked)).body)["data"]["result"]) == 2
    answer = orjson.loads((await house.client.get(asked + "&highest=1")).body)
    assert [one["metric"] for one in answer["data"]["result"]] == [{"a": "y"}]
    assert answer["infos"] == ["highest: 1 of 2 series"]
    refused = await house.client.get(asked + "&highest=few")
    assert (refused.status, b'\\"highest\\"' in refused.body) == (400, True)
