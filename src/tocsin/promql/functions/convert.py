"""Between scalars and vectors."""

from __future__ import annotations

import math

import numpy as np

from tocsin.model.labels import EMPTY_LABELS
from tocsin.promql.frame import Frame
from tocsin.promql.function import Call, Scalar, function


@function("pi")
def pi(call: Call) -> Scalar:
    """π."""
    return np.full(call.t_ms.size, math.pi)  # type: ignore[return-value]


@function("vector")
def vector(call: Call, value: Scalar) -> Frame:
    """The number as a vector of one series without labels."""
    return Frame((EMPTY_LABELS,), np.array(value, np.float64)[None, :])


@function("scalar")
def scalar(call: Call, vector: Frame) -> Scalar:
    """The value of the only series; NaN where there are none or several."""
    if not vector.labels:
        return np.full(call.t_ms.size, np.nan)  # type: ignore[return-value]
    present = vector.mask()
    first = present.argmax(axis=0)
    values = vector.values[first, np.arange(vector.steps)]
    return np.where(present.sum(axis=0) == 1, values, np.nan)  # type: ignore[return-value]
