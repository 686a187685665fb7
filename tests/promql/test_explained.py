"""A query taken apart: each part with its series, and times that add up."""

from __future__ import annotations

from typing import Any

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Selection, SeriesGroup
from tocsin.promql.engine import Engine
from tocsin.promql.explained import Part


class Ten:
    """Ten series of every metric, in two rooms."""

    def select(self, matchers: Any, start_ms: int, end_ms: int, hints: Any = None) -> Selection:
        t_ms = np.arange(0, 600_000, 10_000, dtype=np.int64)
        name = matchers[0].value
        labels = tuple(Labels({"__name__": name, "i": str(i), "room": str(i % 2)}) for i in range(10))
        return Selection((SeriesGroup(labels, t_ms, np.arange(t_ms.size, dtype=np.float64)[None, :].repeat(10, 0)),))


class Ticking:
    """Every look at the clock takes a second."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_ms(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        self.s += 1
        return self.s


def parts(query: str) -> Part:
    clock: Any = Ticking()
    reader: Any = Ten()
    return Engine(reader, clock=clock).explained(query, 300_000, 500_000, 50_000)


def shown(part: Part, level: int = 0) -> list[tuple[int, str, str, int]]:
    return [(level, part.text, part.kind, part.series), *(row for below in part.parts for row in shown(below, level + 1))]


def test_every_part_says_how_many_series_it_found_or_made() -> None:
    assert shown(parts("sum by (room) (rate(x_total[1m])) / (2 * max(y))")) == [
        (0, "sum by (room) (rate(x_total[1m])) / (2 * max(y))", "operator", 0),
        (1, "sum by (room) (rate(x_total[1m]))", "aggregation", 2),
        (2, "rate(x_total[1m])", "function", 10),
        (3, "x_total[1m]", "range", 10),
        (1, "2 * max(y)", "operator", 1),
        (2, "2", "constant", -1),
        (2, "max(y)", "aggregation", 1),
        (3, "y", "selector", 10),
    ]


def test_the_time_of_a_part_is_its_own_and_that_of_what_lies_below() -> None:
    def adds_up(part: Part) -> None:
        assert part.own_s >= 0
        assert abs(part.seconds - part.own_s - sum(below.seconds for below in part.parts)) < 1e-9
        for below in part.parts:
            adds_up(below)

    whole = parts("sum(rate(x_total[1m])) > 0 or max_over_time(y[1m:10s])")
    assert whole.seconds > 0
    adds_up(whole)
