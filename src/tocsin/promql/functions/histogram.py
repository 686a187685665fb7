"""Quantiles and fractions of classic histograms (series with `le`), and the native-histogram functions.

Native histograms are not stored, so the latter find none and give an empty vector, as Prometheus does for floats.
"""

from __future__ import annotations

import numpy as np

from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.series import Float64
from tocsin.promql.buckets import bucket_fraction, bucket_quantile
from tocsin.promql.frame import Frame, empty
from tocsin.promql.function import Call, Scalar, function
from tocsin.promql.histograms import Histogram, collect


@function("histogram_quantile")
def histogram_quantile(call: Call, quantile: Scalar, buckets: Frame) -> Frame:
    """The φ-quantile of each classic histogram, interpolated linearly inside its bucket."""
    for q in np.unique(quantile):
        if not 0 <= q <= 1:
            call.notes.invalid_quantile(float(q), call.arg_span(0))

    def value(histogram: Histogram) -> Float64:
        result, forced = bucket_quantile(quantile, histogram.bounds, histogram.counts, histogram.mask)
        for labels in histogram.where(forced):
            call.notes.forced_monotonicity(labels.get(METRIC_NAME), call.arg_span(1))
        return result

    return _map(call, buckets, 1, value)


@function("histogram_fraction")
def histogram_fraction(call: Call, lower: Scalar, upper: Scalar, buckets: Frame) -> Frame:
    """The fraction of observations between `lower` and `upper` of each classic histogram."""

    def value(histogram: Histogram) -> Float64:
        return bucket_fraction(lower, upper, histogram.bounds, histogram.counts, histogram.mask)

    return _map(call, buckets, 2, value)


def _map(call: Call, buckets: Frame, argument: int, value: object) -> Frame:
    histograms, malformed = collect(buckets)
    for labels in malformed:
        call.notes.bad_bucket_label(labels.get(METRIC_NAME), labels.get("le"), call.arg_span(argument))
    rows: list[Labels] = []
    values: list[Float64] = []
    for histogram in histograms:
        assert callable(value)
        rows += histogram.labels
        values.append(np.where(histogram.mask.any(axis=1), value(histogram), np.nan))
    if not rows:
        return empty(buckets.steps)
    present = np.concatenate([histogram.mask.any(axis=1) for histogram in histograms])
    return Frame(tuple(rows), np.concatenate(values), present).compact()


def _native_only(name: str, summary: str) -> None:
    def run(call: Call, vector: Frame) -> Frame:
        return empty(vector.steps)

    run.__doc__ = summary
    function(name)(run)


_native_only("histogram_count", "Number of observations of each native histogram.")
_native_only("histogram_sum", "Sum of observations of each native histogram.")
_native_only("histogram_avg", "Mean of the observations of each native histogram.")
_native_only("histogram_stddev", "Estimated standard deviation of each native histogram.")
_native_only("histogram_stdvar", "Estimated variance of each native histogram.")
