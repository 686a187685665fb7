"""`info`: labels of info metrics such as `target_info`, joined by `instance` and `job`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tocsin.errors import ExecutionError
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from tocsin.model.series import Int64, ValueType
from tocsin.promql import ast
from tocsin.promql.frame import Frame, empty, merged
from tocsin.promql.function import EXPERIMENTAL, Call, raw_function

if TYPE_CHECKING:
    from tocsin.promql.evaluate import Evaluator

_IDENTIFYING = ("instance", "job")
_TARGET_INFO = Matcher(METRIC_NAME, MatchOp.EQUAL, "target_info")


@raw_function("info", takes={"vector": ValueType.VECTOR, "labels": ValueType.VECTOR}, optional=1, feature=EXPERIMENTAL)
def info(evaluator: Evaluator, call: Call) -> Frame:
    """Adds to each series the labels of the info series with the same `instance` and `job` (all, or those named)."""
    base = evaluator.vector(call.node.args[0], call.t_ms)
    selector = call.node.args[1] if len(call.node.args) > 1 else None
    given = selector.matchers if isinstance(selector, ast.VectorSelector) else ()
    names = [matcher for matcher in given if matcher.name == METRIC_NAME] or ([] if given else [_TARGET_INFO])
    enrich = [not any(matcher.matches_value(labels.get(METRIC_NAME)) for matcher in names) for labels in base.labels]
    identity = _identity_matchers([labels for labels, wanted in zip(base.labels, enrich, strict=True) if wanted])
    data = [matcher for matcher in given if matcher.name != METRIC_NAME] if identity else list(given)
    source, taken = empty(base.steps), np.empty((0, base.steps))
    if identity:
        source, taken = _info_series(evaluator, call, (*identity, *data, *(names or [_TARGET_INFO])))
    newest = _newest(source, taken)
    rows = [
        piece
        for row, labels in enumerate(base.labels)
        for piece in (_enriched(base, row, labels, source, newest, data) if enrich[row] else [(labels, base.mask()[row], row)])
    ]
    if not rows:
        return empty(base.steps)
    values = base.values[[row for _, _, row in rows]]
    return merged(Frame(tuple(labels for labels, _, _ in rows), values, np.stack([where for _, where, _ in rows])).compact())


def _identity_matchers(rows: Sequence[Labels]) -> tuple[Matcher, ...]:
    """One matcher for each identifying label that any of the series has."""
    matchers = []
    for name in _IDENTIFYING:
        if values := sorted({labels.get(name) for labels in rows} - {""}):
            matchers.append(Matcher(name, MatchOp.REGEX, "|".join(re.escape(value) for value in values)))
    return tuple(matchers)


def _info_series(evaluator: Evaluator, call: Call, matchers: tuple[Matcher, ...]) -> tuple[Frame, np.ndarray]:
    return evaluator.instant(ast.VectorSelector("", matchers, call.node.span), call.t_ms)


def _newest(source: Frame, taken: np.ndarray) -> dict[tuple[str, ...], Int64]:
    """By info metric and identity: the row with the newest sample at each step, -1 where there is none.

    Raises ExecutionError where two samples are equally new.
    """
    found: dict[tuple[str, ...], Int64] = {}
    when: dict[tuple[str, ...], np.ndarray] = {}
    present = source.mask()
    for row, labels in enumerate(source.labels):
        key = (labels.get(METRIC_NAME), *(labels.get(name) for name in _IDENTIFYING))
        best = found.setdefault(key, np.full(source.steps, -1))
        at = when.setdefault(key, np.full(source.steps, -np.inf))
        if (present[row] & (taken[row] == at)).any():
            raise ExecutionError(f"found duplicate series for info metric {key[0]}")
        better = present[row] & (taken[row] > at)
        best[better], at[better] = row, taken[row][better]
    return found


def _enriched(
    base: Frame,
    row: int,
    labels: Labels,
    source: Frame,
    newest: dict[tuple[str, ...], Int64],
    data: Sequence[Matcher],
) -> list[tuple[Labels, np.ndarray, int]]:
    """The row once for each combination of info series it meets over the steps: labels, where, row."""
    identity = tuple(labels.get(name) for name in _IDENTIFYING)
    partners = [rows for key, rows in newest.items() if key[1:] == identity]
    chosen = np.stack(partners) if partners else np.empty((0, base.steps), np.int64)
    combinations, which = np.unique(chosen, axis=1, return_inverse=True)
    present = base.mask()[row]
    out = []
    for number in range(combinations.shape[1] if partners else 1):
        where = present & (which.ravel() == number) if partners else present
        added = _added(labels, [source.labels[i] for i in combinations[:, number].tolist() if i >= 0] if partners else [], data)
        if where.any() and (added or all(matcher.matches_empty for matcher in data)):
            out.append((labels.merged(added), where, row))
    return out


def _added(labels: Labels, infos: Sequence[Labels], data: Sequence[Matcher]) -> dict[str, str]:
    wanted = {matcher.name for matcher in data}
    added: dict[str, str] = {}
    for each in infos:
        for name, value in each.pairs:
            if name == METRIC_NAME or (wanted and name not in wanted):
                continue
            if added.get(name, value) != value:
                raise ExecutionError(f"conflicting label: {name}")
            if name not in labels:
                added[name] = value
    return added
