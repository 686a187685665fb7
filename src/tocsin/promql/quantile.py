"""φ-quantiles of sets of samples, as Prometheus interpolates them."""

from __future__ import annotations

import numpy as np

from tocsin.model.series import Float64, Int64


def quantiles(values: Float64, count: Int64, q: Float64) -> Float64:
    """Quantile over the last axis: values [..., s, w] of which `count` [..., s] are samples (the rest is NaN), q [s].

    NaN samples sort lowest. q < 0 gives -Inf, q > 1 +Inf, NaN or no sample NaN.
    """
    ordered = np.sort(values, axis=-1)  # NaN last
    numbers = np.sum(~np.isnan(values), axis=-1)
    nans = count - numbers
    with np.errstate(all="ignore"):
        rank = q * (count - 1)
        lower = np.maximum(np.floor(rank), 0)
        weight = rank - np.floor(rank)
        upper = np.minimum(lower + 1, count - 1)

        def pick(position: Float64) -> Float64:
            index = np.nan_to_num(position).astype(np.int64) - nans
            inside = np.clip(index, 0, values.shape[-1] - 1)
            found = np.take_along_axis(ordered, inside[..., None], axis=-1)[..., 0]
            return np.where(index < 0, np.nan, found)

        result = pick(lower) * (1 - weight) + pick(upper) * weight
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where((count == 0) | np.isnan(q), np.nan, result)
