"""How PromQL errors are worded: `line:column: parse error: what`."""

from __future__ import annotations

from tocsin.errors import ParseError
from tocsin.promql.ast import Span


def fail(query: str, span: Span, message: str) -> ParseError:
    """A ParseError about this part of the query, to be raised."""
    return ParseError(f"{span.place(query)}: parse error: {message}", start=span.start, end=span.end)
