"""Explain this spike: which labels differ most between a selected window and the time before it.

The query's outer aggregations are taken off, so that its series are seen one by one. For every label value, its share of the
total in the selection is compared with its share in the baseline; the largest shift explains most. Of a quantile the shares are
shares of slowness: how many buckets lie below each request.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import ParseError
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, MatchOp, quote
from tocsin.model.series import Float64, QueryResult
from tocsin.promql import ast
from tocsin.promql.engine import Engine
from tocsin.promql.printer import format_expr
from tocsin.web.answers import json_answer
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.forms import Body, Instant, read_body
from tocsin.web.problem import Refused

_MOST_SERIES = 5_000
_MOST_ROWS = 50
_STEPS = 30
_IGNORED = frozenset({METRIC_NAME, "le"})
_SUMS = frozenset({"sum", "avg", "count", "max", "min", "topk", "bottomk", "group", "quantile"})


class ExplainBody(Body):
    """The selection, and what to compare it with (by default as long a time right before it)."""

    query: str
    from_ms: Instant
    to_ms: Instant
    base_from_ms: Instant = 0
    base_to_ms: Instant = 0


@dataclass(frozen=True, slots=True)
class ExplainRow:
    label: str
    value: str
    share: float
    """Of the selection's total, 0..1."""
    base_share: float
    shift: float
    """share - base_share; rows are ordered by its size."""
    matcher: str
    query: str
    """The query as it was asked, narrowed by the matcher."""


@dataclass(frozen=True, slots=True)
class Explained:
    query: str
    """What was looked at: the query without its outer aggregations."""
    rows: Sequence[ExplainRow]
    even: Sequence[str]
    """Labels that say nothing: their values kept their shares."""
    series: int
    cut: bool
    """More series than can be looked at; the largest were kept."""


class Explain:
    """Handler of `/explain`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self, prefix: str) -> list[Endpoint]:
        return [
            Endpoint(
                prefix + "/explain",
                self.explain,
                methods=["POST"],
                permission=Permission.VIEWER,
                body=ExplainBody,
                answer=Explained,
            )
        ]

    async def explain(self, request: Request) -> Response:
        """Labels ranked by how much they differ from the baseline."""
        body = await read_body(request, ExplainBody)
        if body.to_ms <= body.from_ms:
            raise Refused(400, "bad_window", "expected from_ms before to_ms")
        span_ms = body.to_ms - body.from_ms
        base = (body.base_from_ms, body.base_to_ms) if body.base_to_ms else (body.from_ms - span_ms, body.from_ms)
        engine = self._desk.parts.engine
        try:
            answer = await self._desk.queries.for_client(
                request, lambda _stop: explain(engine, body.query, (body.from_ms, body.to_ms), base)
            )
        except ParseError as error:
            raise Refused(400, "bad_query", str(error)) from None
        return await json_answer(request, answer)


def explain(engine: Engine, query: str, window: tuple[int, int], base: tuple[int, int]) -> Explained:
    """Compare the two windows. Blocking: call it from a thread."""
    whole = engine.parse(query)
    inner = without_aggregations(whole)
    now, before = _totals(engine, inner, *window), _totals(engine, inner, base[0], base[1] - 1)
    if any(isinstance(expr, ast.Call) and expr.name == "histogram_quantile" for expr in ast.walk(whole)):
        now, before = slowness(now), slowness(before)
    ordered = sorted({*now, *before}, key=lambda labels: -abs(now.get(labels, 0.0) - before.get(labels, 0.0)))
    kept = ordered[:_MOST_SERIES]
    rows, even = ranked_shifts(kept, now, before)
    rows = [replace(row, query=format_expr(narrowed(whole, row.label, row.value))) for row in rows[:_MOST_ROWS]]
    return Explained(format_expr(inner), rows, even, len(ordered), len(ordered) > _MOST_SERIES)


def without_aggregations(expr: ast.Expr) -> ast.Expr:
    """What stands inside outer aggregations, comparisons with a number, and divisions (their upper part)."""
    expr = ast.unwrap(expr)
    if isinstance(expr, ast.Aggregate) and expr.op in _SUMS:
        return without_aggregations(expr.expr)
    if isinstance(expr, ast.Binary) and (expr.op in ast.COMPARISONS or expr.op == "/"):
        return without_aggregations(expr.left)
    if isinstance(expr, ast.Call) and expr.name == "histogram_quantile":
        return without_aggregations(expr.args[1])
    return expr


def slowness(buckets: dict[Labels, float]) -> dict[Labels, float]:
    """Cumulative buckets -> how slow each series is: requests times the number of bounds that they exceed; `le` is gone.

    An empty bucket may be left out of the series: bounds are counted over all of them.
    """
    by_rest: dict[Labels, list[float]] = defaultdict(list)
    for labels, value in buckets.items():
        by_rest[Labels((name, text) for name, text in labels.pairs if name != "le")].append(value)
    bounds = len({labels.get("le") for labels in buckets})
    return {labels: max(values) * bounds - math.fsum(values) for labels, values in by_rest.items()}


def narrowed(expr: ast.Expr, label: str, value: str) -> ast.Expr:
    """The expression with `label="value"` in every selector that does not say anything about the label yet."""
    made: ast.Expr = _with_matcher(expr, Matcher(label, MatchOp.EQUAL, value))
    return made


def _with_matcher(node: Any, matcher: Matcher) -> Any:
    if isinstance(node, ast.VectorSelector):
        if any(own.name == matcher.name for own in node.matchers):
            return node
        return replace(node, matchers=(matcher, *node.matchers))
    if isinstance(node, tuple):
        return tuple(_with_matcher(item, matcher) for item in node)
    if is_dataclass(node) and type(node).__module__ == ast.__name__ and not isinstance(node, type):
        return replace(node, **{field.name: _with_matcher(getattr(node, field.name), matcher) for field in fields(node)})
    return node


def _totals(engine: Engine, expr: ast.Expr, start_ms: int, end_ms: int) -> dict[Labels, float]:
    """Mean of every series over a window; series without a point are absent."""
    step_ms = max(1000, (end_ms - start_ms) // _STEPS)
    return means(engine.range(expr, start_ms, end_ms, step_ms))


def means(result: QueryResult) -> dict[Labels, float]:
    if result.matrix is None:
        return {}
    return {labels: mean for labels, row in zip(result.matrix.labels, result.matrix.values, strict=True) if (mean := _mean(row))}


def _mean(row: Float64) -> float:
    finite = row[np.isfinite(row)]
    return float(finite.mean()) if len(finite) else 0.0


def ranked_shifts(
    series: Sequence[Labels], now: dict[Labels, float], before: dict[Labels, float]
) -> tuple[list[ExplainRow], list[str]]:
    """Label values by how far their share moved, and the labels where nothing moved."""
    total_now = math.fsum(abs(now.get(labels, 0.0)) for labels in series) or 1.0
    total_before = math.fsum(abs(before.get(labels, 0.0)) for labels in series) or 1.0
    shares: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for labels in series:
        for pair in labels.pairs:
            if pair[0] not in _IGNORED:
                share = shares[pair]
                share[0] += abs(now.get(labels, 0.0)) / total_now
                share[1] += abs(before.get(labels, 0.0)) / total_before
    rows = [_row(name, value, share, base) for (name, value), (share, base) in shares.items()]
    telling = {row.label for row in rows if abs(row.shift) >= 0.05}
    even = sorted({row.label for row in rows} - telling)
    return sorted((row for row in rows if row.label in telling), key=lambda row: (-abs(row.shift), row.label, row.value)), even


def _row(name: str, value: str, share: float, base: float) -> ExplainRow:
    return ExplainRow(name, value, round(share, 4), round(base, 4), round(share - base, 4), f"{name}={quote(value)}", "")
