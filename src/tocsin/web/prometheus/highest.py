"""`highest=N` and `lowest=N`, additions of ours to Prometheus's queries: of many series those that end highest (lowest), and how
many there were.

A chart draws twenty lines. With 100,000 series `limit` would give the first by their labels, which are not those that matter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tocsin.model.series import Bool, Float64, Matrix, QueryResult, Vector


def highest(result: QueryResult, most: int, *, lowest: bool = False) -> QueryResult:
    """The `most` highest series, the highest first (`lowest`: the lowest), with an info that says of how many; fewer series stay
    as they are."""
    sign, word = (-1.0, "lowest") if lowest else (1.0, "highest")
    if result.vector is not None and len(result.vector.labels) > most:
        vector = result.vector
        chosen = _order(sign * vector.values)[:most]
        kept = Vector(tuple(vector.labels[at] for at in chosen), vector.values[chosen], vector.t_ms[chosen])
        return _saying(replace(result, vector=kept), word, most, len(vector.labels))
    if result.matrix is not None and len(result.matrix.labels) > most:
        matrix = result.matrix
        chosen = _order(sign * _last(matrix.values))[:most]
        rows = Matrix(tuple(matrix.labels[at] for at in chosen), matrix.t_ms, matrix.values[chosen])
        return _saying(replace(result, matrix=rows), word, most, len(matrix.labels))
    return result


def _last(values: Float64) -> Float64:
    """The last number of each row [k, m] -> [k]; NaN where there is none."""
    known: Bool = ~np.isnan(values)
    at = values.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
    return np.asarray(values[np.arange(len(values)), at], np.float64)


def _order(values: Float64) -> list[int]:
    """Places by value, the highest first, equal ones as they came; NaN at the end."""
    return [int(at) for at in np.argsort(-values, kind="stable")]


def _saying(result: QueryResult, word: str, most: int, total: int) -> QueryResult:
    told = replace(result.annotations, infos=(*result.annotations.infos, f"{word}: {most} of {total} series"))
    return replace(result, annotations=told)
