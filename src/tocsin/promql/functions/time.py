"""Clock and calendar, always UTC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tocsin.model.labels import EMPTY_LABELS
from tocsin.model.series import Float64, Int64
from tocsin.promql.frame import Frame
from tocsin.promql.function import Call, Scalar, function


@function("time", at_safe=False)
def time(call: Call) -> Scalar:
    """Seconds since 1970 of the evaluated step."""
    return call.t_ms / 1000  # type: ignore[return-value]


def _calendar(name: str, summary: str, part: Callable[[Any], Any]) -> None:
    """Register a function of a date; `part` maps datetime64[D] and the seconds of the day to numbers."""

    def run(call: Call, vector: Frame | None = None) -> Frame:
        if vector is None:
            seconds = (call.t_ms // 1000)[None, :]
            return Frame((EMPTY_LABELS,), part(seconds).astype(np.float64))
        return Frame(vector.labels, part(_whole_seconds(vector.values)).astype(np.float64), vector.present)

    run.__doc__ = summary
    function(name, at_safe=False)(run)


def _whole_seconds(values: Float64) -> Int64:
    """Towards zero. What fits no int64 (NaN too) is the last second there is: on the processors Prometheus usually runs
    on it becomes the smallest integer, which its calendar takes for the one after the largest.
    """
    fits = np.abs(values) < 2.0**63
    return np.where(fits, np.where(fits, values, 0).astype(np.int64), 2**63 - 1)


def _day(seconds: Int64) -> Any:
    return (seconds // 86400).astype("datetime64[D]")


def _month(seconds: Int64) -> Any:
    return _day(seconds).astype("datetime64[M]")


def _days_in_month(seconds: Int64) -> Any:
    month = _month(seconds)
    return ((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)


_calendar("minute", "Minute of the hour, 0 to 59.", lambda s: s // 60 % 60)
_calendar("hour", "Hour of the day, 0 to 23.", lambda s: s // 3600 % 24)
_calendar("day_of_week", "Day of the week, 0 (Sunday) to 6.", lambda s: (s // 86400 + 4) % 7)
_calendar("day_of_month", "Day of the month, 1 to 31.", lambda s: (_day(s) - _month(s)).astype(np.int64) + 1)
_calendar("day_of_year", "Day of the year, 1 to 366.", lambda s: (_day(s) - _day(s).astype("datetime64[Y]")).astype(np.int64) + 1)
_calendar("days_in_month", "Number of days of the month, 28 to 31.", _days_in_month)
_calendar("month", "Month of the year, 1 to 12.", lambda s: _month(s).astype(np.int64) % 12 + 1)
_calendar("year", "The year.", lambda s: _day(s).astype("datetime64[Y]").astype(np.int64) + 1970)
