"""Functions of one value: arithmetic, trigonometry, rounding, clamping."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tocsin.model.series import Float64
from tocsin.promql.frame import Frame, empty
from tocsin.promql.function import Call, Scalar, function


def _each(name: str, summary: str, apply: Callable[[Float64], Any]) -> None:
    """Register a function that maps every value alone."""

    def run(call: Call, vector: Frame) -> Frame:
        with np.errstate(all="ignore"):
            return Frame(vector.labels, apply(vector.values), vector.present)

    run.__doc__ = summary
    function(name)(run)


_each("abs", "Absolute value.", np.abs)
_each("ceil", "Rounded up to the next integer.", np.ceil)
_each("floor", "Rounded down to the next integer.", np.floor)
_each("exp", "e to the power of each value.", np.exp)
_each("sqrt", "Square root; NaN below zero.", np.sqrt)
_each("ln", "Natural logarithm; -Inf for 0, NaN below zero.", np.log)
_each("log2", "Logarithm to base 2.", np.log2)
_each("log10", "Logarithm to base 10.", np.log10)
_each("sin", "Sine of radians.", np.sin)
_each("cos", "Cosine of radians.", np.cos)
_each("tan", "Tangent of radians.", np.tan)
_each("asin", "Arcsine in radians.", np.arcsin)
_each("acos", "Arccosine in radians.", np.arccos)
_each("atan", "Arctangent in radians.", np.arctan)
_each("sinh", "Hyperbolic sine.", np.sinh)
_each("cosh", "Hyperbolic cosine.", np.cosh)
_each("tanh", "Hyperbolic tangent.", np.tanh)
_each("asinh", "Inverse hyperbolic sine.", np.arcsinh)
_each("acosh", "Inverse hyperbolic cosine.", np.arccosh)
_each("atanh", "Inverse hyperbolic tangent.", np.arctanh)
_each("rad", "Degrees to radians.", lambda values: values * math.pi / 180)
_each("deg", "Radians to degrees.", lambda values: values * 180 / math.pi)
_each("sgn", "1 above zero, -1 below, else the value itself.", lambda v: np.where(v > 0, 1.0, np.where(v < 0, -1.0, v)))


@function("round")
def round_(call: Call, vector: Frame, nearest: Scalar | None = None) -> Frame:
    """Rounded to the nearest multiple of `nearest` (1), halves up."""
    with np.errstate(all="ignore"):
        inverse = 1.0 if nearest is None else 1.0 / nearest
        return Frame(vector.labels, np.floor(vector.values * inverse + 0.5) / inverse, vector.present)


@function("clamp")
def clamp(call: Call, vector: Frame, minimum: Scalar, maximum: Scalar) -> Frame:
    """Values limited to [minimum, maximum]; nothing where minimum is above maximum."""
    return _clamped(vector, minimum, maximum)


@function("clamp_min")
def clamp_min(call: Call, vector: Frame, minimum: Scalar) -> Frame:
    """Values below `minimum` become `minimum`."""
    return _clamped(vector, minimum, np.full(vector.steps, np.inf))


@function("clamp_max")
def clamp_max(call: Call, vector: Frame, maximum: Scalar) -> Frame:
    """Values above `maximum` become `maximum`."""
    return _clamped(vector, np.full(vector.steps, -np.inf), maximum)


def _go_min(a: Float64, b: Float64) -> Float64:
    """As in Go, -Inf wins even against NaN."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))


def _go_max(a: Float64, b: Float64) -> Float64:
    """As in Go, +Inf wins even against NaN."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def _clamped(vector: Frame, minimum: Float64, maximum: Float64) -> Frame:
    possible = ~(maximum < minimum)
    values = _go_max(minimum, _go_min(maximum, vector.values))
    if possible.all():
        return Frame(vector.labels, values, vector.present)
    if not possible.any():
        return empty(vector.steps)
    return Frame(vector.labels, values, vector.mask() & possible)
