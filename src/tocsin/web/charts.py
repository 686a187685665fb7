"""The chart of an incident for messages: what its rule looks at, around the time of the page. `/charts/<token>.png` serves it.

The address is signed and expires: a mail client fetches it without signing in, and it shows one incident and nothing else.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.errors import QueryError
from tocsin.model.ports import Queryable
from tocsin.notify import chart
from tocsin.notify.links import load_key, verify_chart
from tocsin.notify.pictures import expression_of
from tocsin.promql import ast
from tocsin.promql.parser import parse
from tocsin.promql.printer import format_expr
from tocsin.state.schema import incident_alerts, incidents
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.limits import FailureLimit
from tocsin.web.problem import Refused

_LEAST_MS, _MOST_MS, _BEFORE_MS = 3_600_000, 6 * 3_600_000, 1_800_000
_POINTS = 240
_SHOWN_AFTER_MS = 300_000
_COMPARISONS = ("<", ">", "<=", ">=", "==", "!=")
_AT_ONCE = 2


class Charts:
    """Handler of `/charts/{token}.png`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._failures = FailureLimit(desk.parts.clock, most=20, window_ms=60_000)
        self._room = asyncio.Semaphore(_AT_ONCE)

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("/charts/{token}.png", self.image, permission=Permission.TOKEN, errors=Errors.PLAIN)]

    async def image(self, request: Request) -> Response:
        """The chart of an incident at the time of a message, for who has its signed address."""
        address = peer_address(request)
        self._failures.check(address)
        database = self._desk.parts.database
        link = verify_chart(await database.read(load_key), request.path_params["token"], self._desk.now_ms())
        if link is None:
            self._failures.failed(address)
            raise Refused(404, "bad_link", "this chart's address has expired or is not complete")
        found = await database.read(lambda tx: evidence_of(tx, link.incident))
        end_ms = min(link.at_ms + _SHOWN_AFTER_MS, self._desk.now_ms())
        async with self._room:
            data = await asyncio.to_thread(picture, self._desk.light_engine, found, end_ms) if found else b""
        if not data:
            raise Refused(404, "no_chart", "there is nothing to draw for this incident")
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=300"})


class Evidence:
    """What a chart of an incident needs from the state database."""

    def __init__(self, title: str, started_ms: int, alerts: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """`alerts`: (expression, labels) of each, firing ones first."""
        self.title = title
        self.started_ms = started_ms
        self.expression = alerts[0][0] if alerts else ""
        self.labels = [labels for expression, labels in alerts if expression == self.expression]


def evidence_of(tx: Connection, number: int) -> Evidence | None:
    """None when there is no such incident or none of its alerts says what it was computed from."""
    row = tx.execute(sa.select(incidents.c.title, incidents.c.created_ms).where(incidents.c.number == number)).first()
    if row is None:
        return None
    c = incident_alerts.c
    query = sa.select(c.generator_url, c.labels, c.ends_at_ms).where(c.incident == number).order_by(c.ends_at_ms).limit(200)
    rows = tx.execute(query)
    alerts = [(expression, alert.labels) for alert in rows if (expression := expression_of(alert.generator_url))]
    return Evidence(row.title, row.created_ms, alerts) if alerts else None


def picture(queryable: Queryable, found: Evidence, end_ms: int) -> bytes:
    """The PNG; empty when there is nothing to draw, or no way to. Takes tens of milliseconds: call it in a thread."""
    drawn = plot(queryable, found, end_ms)
    if drawn is None:
        return b""
    try:
        return chart.png(chart.svg(drawn))
    except ValueError:
        return b""


def plot(queryable: Queryable, found: Evidence, end_ms: int) -> chart.Chart | None:
    """The values that the rule compares, of the alerts' own series where labels tell."""
    expression, threshold = _compared(found.expression)
    span_ms = min(max(_LEAST_MS, end_ms - found.started_ms + _BEFORE_MS), _MOST_MS)
    try:
        matrix = queryable.range(expression, end_ms - span_ms, end_ms, max(span_ms // _POINTS, 1000)).matrix
    except QueryError:
        return None
    if matrix is None or not matrix.labels or len(matrix.t_ms) < 2:
        return None
    everything = [dict(labels) for labels in matrix.labels]
    own = [n for n, labels in enumerate(everything) if any(_belongs(labels, alert) for alert in found.labels)]
    chosen = own or list(range(len(everything)))
    values = np.where(np.isfinite(matrix.values), matrix.values, np.nan)
    chosen = [n for n in chosen if np.isfinite(values[n]).any()]
    if not chosen:
        return None
    shown = chosen[: chart.MOST_LINES]
    names = _names([everything[n] for n in shown], expression)
    begin = _begin(values[shown])
    return chart.Chart(
        found.title,
        names,
        matrix.t_ms[begin:],
        values[shown, begin:],
        threshold,
        found.started_ms,
        left_out=len(chosen) - len(shown),
    )


def _begin(values: NDArray[np.float64]) -> int:
    """Where to start: a stretch before the first sample tells nothing, but a chart of a minute tells little more."""
    first = int(np.isfinite(values).any(axis=0).argmax())
    return max(min(first, len(values[0]) - _POINTS // 6), 0)


def _compared(expression: str) -> tuple[str, float | None]:
    """`a > 5` -> (`a`, 5): the line and its limit; what is no comparison with a number is drawn as it is."""
    try:
        expr: Any = parse(expression)
    except QueryError:
        return expression, None
    while isinstance(expr, ast.Paren):
        expr = expr.expr
    if isinstance(expr, ast.Binary) and expr.op in _COMPARISONS:
        for side, other in ((expr.left, expr.right), (expr.right, expr.left)):
            limit = _number(other)
            if limit is not None and _number(side) is None:
                return format_expr(side), limit
    return expression, None


def _number(expr: Any) -> float | None:
    sign = 1.0
    while isinstance(expr, ast.Paren | ast.Unary):
        sign = -sign if isinstance(expr, ast.Unary) and expr.op == "-" else sign
        expr = expr.expr
    return sign * expr.value if isinstance(expr, ast.NumberLiteral) and math.isfinite(expr.value) else None


def _belongs(series: Mapping[str, str], alert: Mapping[str, str]) -> bool:
    return all(alert.get(name) == value for name, value in series.items() if name != "__name__")


def _names(series: Sequence[Mapping[str, str]], expression: str) -> tuple[str, ...]:
    """What tells each line from the others; a single one is named by its expression."""
    if len(series) == 1:
        return (expression,)
    shared = {item for item in series[0].items() if all(item in labels.items() for labels in series)}
    own = [", ".join(f"{k}={v}" for k, v in sorted(labels.items()) if (k, v) not in shared) for labels in series]
    return tuple(name or expression for name in own)
