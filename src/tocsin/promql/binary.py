"""Operators between vectors and scalars: arithmetic, comparison, sets, and how two vectors find each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import Labels
from tocsin.model.series import Bool, Float64, Int64
from tocsin.promql.ast import COMPARISONS, Cardinality, VectorMatching
from tocsin.promql.frame import Frame, concatenate, empty, merged
from tocsin.promql.labelsets import LabelCache, Naming, Rows
from tocsin.promql.text import go_quote

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power, "atan2": np.arctan2,
}  # fmt: skip
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": np.equal, "!=": np.not_equal, ">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal,
}  # fmt: skip


def calculate(op: str, left: Float64, right: Float64) -> Float64:
    """Arithmetic as in IEEE 754; comparisons give 0 and 1."""
    with np.errstate(all="ignore"):
        if op in _COMPARE:
            return np.asarray(_COMPARE[op](left, right), np.float64)
        return np.asarray(_ARITHMETIC[op](left, right))


def compare(op: str, left: Float64, right: Float64) -> Bool:
    return np.asarray(_COMPARE[op](left, right))


def with_scalar(op: str, vector: Frame, scalar: Float64, naming: Naming, *, swapped: bool, return_bool: bool) -> Frame:
    """vector op scalar [s], or scalar op vector when swapped. A comparison keeps the vector's values and names."""
    left, right = (scalar, vector.values) if swapped else (vector.values, scalar)
    if op in COMPARISONS and not return_bool:
        kept = np.broadcast_to(compare(op, left, right), vector.values.shape)
        present = kept if vector.present is None else vector.present & kept
        return vector.with_values(vector.values, present).compact()
    values = np.broadcast_to(calculate(op, left, right), vector.values.shape)
    return naming.dropped(vector.with_values(values, vector.present))


def set_operation(op: str, left: Frame, right: Frame, matching: VectorMatching, cache: LabelCache) -> Frame:
    """and, or, unless: by signature, step by step."""
    if not left.labels or not right.labels:
        return {"and": empty(left.steps), "unless": left}.get(op, left if left.labels else right)
    left_ids, right_ids, count = _numbered(cache.signatures(left.labels, matching), cache.signatures(right.labels, matching))
    if op == "or":
        covered = _any_by(left_ids, left.mask(), count)[right_ids]
        extra = right.with_values(right.values, right.mask() & ~covered).compact()
        return merged(concatenate([left, extra], left.steps))
    matched = _any_by(right_ids, right.mask(), count)[left_ids]
    return left.with_values(left.values, left.mask() & (matched if op == "and" else ~matched)).compact()


def _numbered(left: Rows, right: Rows) -> tuple[Int64, Int64, int]:
    """Signatures as numbers shared by both sides, and how many there are."""
    numbers: dict[Labels, int] = {}
    both = [
        np.fromiter((numbers.setdefault(signature, len(numbers)) for signature in side), np.int64, len(side))
        for side in (left, right)
    ]
    return both[0], both[1], len(numbers)


def _any_by(ids: Int64, present: Bool, count: int) -> Bool:
    """Where any row of each signature is present, [count, s]."""
    out = np.zeros((count, present.shape[1]), bool)
    np.logical_or.at(out, ids, present)
    return out


def between_vectors(op: str, left: Frame, right: Frame, matching: VectorMatching, naming: Naming, *, return_bool: bool) -> Frame:
    """Matched pairs of rows, one result row each. Raises ExecutionError where the match is ambiguous at a step."""
    cache = naming.cache
    swapped = matching.cardinality is Cardinality.ONE_TO_MANY
    many, one = (right, left) if swapped else (left, right)
    if not many.labels or not one.labels:
        return empty(left.steps)
    many_ids, one_ids, count = _numbered(cache.signatures(many.labels, matching), cache.signatures(one.labels, matching))
    _refuse_duplicates(many, one, one_ids, count, matching, cache, swapped=swapped)
    many_rows, one_rows = _pairs(many_ids, one_ids, count)
    if not many_rows.size:
        return empty(left.steps)
    pair_many, pair_one = _taken(many, many_rows), _taken(one, one_rows)
    both = _both(pair_many.present, pair_one.present)
    a, b = (pair_one.values, pair_many.values) if swapped else (pair_many.values, pair_one.values)
    if op in COMPARISONS and not return_bool:
        kept = compare(op, a, b)
        values, both = a, kept if both is None else both & kept
    else:
        values = calculate(op, a, b)
    to_bool = return_bool and not naming.delayed
    rows = pair_many.labels, pair_one.labels
    labels = cache.results(*rows, matching, changes=op not in COMPARISONS, to_bool=to_bool)
    marked = np.ones(len(labels), bool) if naming.delayed and return_bool else None
    result = Frame(labels, values, both, marked)
    _refuse_ambiguous(result, many_ids[many_rows], matching)
    return merged(result.compact())


def _taken(frame: Frame, rows: Int64) -> Frame:
    if rows.size == len(frame.labels) and (rows == np.arange(rows.size)).all():
        return frame
    return frame.rows(rows)


def _both(first: Bool | None, second: Bool | None) -> Bool | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _pairs(many_ids: Int64, one_ids: Int64, count: int) -> tuple[Int64, Int64]:
    """Row pairs of equal signature, in the order of the many side."""
    where = np.full(count, -1, np.int64)
    where[one_ids] = np.arange(one_ids.size)
    if np.unique(one_ids).size == one_ids.size:
        found = where[many_ids]
        rows = np.flatnonzero(found >= 0)
        return rows, found[rows]
    by_signature: dict[int, list[int]] = {}
    for row, signature in enumerate(one_ids.tolist()):
        by_signature.setdefault(signature, []).append(row)
    pairs = [(i, j) for i, signature in enumerate(many_ids.tolist()) for j in by_signature.get(signature, ())]
    columns = np.array(pairs, np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _refuse_duplicates(
    many: Frame, one: Frame, one_ids: Int64, count: int, matching: VectorMatching, cache: LabelCache, *, swapped: bool
) -> None:
    """Two series of the one side with the same signature at the same step, where the other side has any series."""
    if np.unique(one_ids).size == one_ids.size:
        return
    occupied = np.zeros((count, one.steps), np.int64)
    np.add.at(occupied, one_ids, one.mask())
    clash = (occupied > 1) & many.mask().any(axis=0)
    if not clash.any():
        return
    step = int(np.flatnonzero(clash.any(axis=0))[0])
    signature = int(np.flatnonzero(clash[:, step])[0])
    rows = np.flatnonzero((one_ids == signature) & one.mask()[:, step])
    first, second = one.labels[rows[0]], one.labels[rows[1]]
    group = second.only(matching.labels) if matching.on else second.without("__name__", *matching.labels)
    side = "left" if swapped else "right"
    raise ExecutionError(
        f"found duplicate series for the match group {braced(group)} on the {side} hand-side of the operation: "
        f"[{braced(second)}, {braced(first)}];many-to-many matching not allowed: "
        "matching labels must be unique on one side"
    )


def braced(labels: Labels) -> str:
    """As Prometheus prints a label set in errors: the name is a pair like any other."""
    return "{" + ", ".join(f"{name}={go_quote(value)}" for name, value in labels.pairs) + "}"


def _refuse_ambiguous(result: Frame, signatures: Int64, matching: VectorMatching) -> None:
    """One-to-one: a signature may give one result per step. Grouped: its results must differ in their labels."""
    if np.unique(signatures).size == signatures.size:
        return
    one_to_one = matching.cardinality is Cardinality.ONE_TO_ONE
    seen: dict[Any, Bool] = {}
    present = result.mask()
    for row, signature in enumerate(signatures.tolist()):
        key = signature if one_to_one else (signature, result.labels[row])
        before = seen.get(key)
        if before is None:
            seen[key] = present[row].copy()
            continue
        if (before & present[row]).any():
            raise ExecutionError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                if one_to_one
                else "multiple matches for labels: grouping labels must ensure unique matches"
            )
        before |= present[row]
