"""How many errors stand behind a good share, where its expression says so: `1 - bad / all`, or `good / all`, of counters."""

from __future__ import annotations

from tocsin.errors import ParseError
from tocsin.promql.ast import Aggregate, Binary, Call, Expr, MatrixSelector, NumberLiteral, Paren, unwrap, walk
from tocsin.promql.parser import parse

WINDOW, SECONDS = "$window", "$seconds"
"""What stands for a stretch of time in an expression: as a duration, and as a number."""
_PROBE = "000077s"
"""As long as `$window`: places in the parsed text are places in the text as written."""
_PROBE_MS = 77_000
_LINEAR_CALLS = frozenset({"rate", "increase", "vector"})
_LINEAR_OPS = frozenset({"+", "-", "or"})


def error_count(good: str) -> str:
    """PromQL of the number of errors in `$window` (times `$seconds` where it is made of rates); empty where it cannot be told."""
    assert len(_PROBE) == len(WINDOW)
    try:
        tree = unwrap(parse(good.replace(WINDOW, _PROBE)))
    except ParseError:
        return ""
    if isinstance(tree, Binary) and tree.op == "-" and _is_one(tree.left):
        ratio = unwrap(tree.right)
        parts = _quotient(ratio)
        count = _text(good, parts[0]) if parts else ""
    else:
        parts = _quotient(tree)
        count = f"({_text(good, parts[1])} - {_text(good, parts[0])})" if parts else ""
    if not parts:
        return ""
    functions = {name for part in parts for name in _counting(part)}
    if functions == {"increase"}:
        return count
    return f"{count} * {SECONDS}" if functions == {"rate"} else ""


def _quotient(tree: Expr) -> tuple[Expr, Expr] | None:
    """Both sides of a division of sums of counters that find each other by all their labels."""
    if not (isinstance(tree, Binary) and tree.op == "/"):
        return None
    matching = tree.matching
    if matching is not None and (matching.labels or matching.on or matching.include):
        return None
    return (tree.left, tree.right) if _counts(tree.left) and _counts(tree.right) else None


def _counts(tree: Expr) -> bool:
    """Whether it adds up counters over the whole window and does nothing else with them."""
    match tree:
        case Paren():
            return _counts(tree.expr)
        case NumberLiteral():
            return True
        case Aggregate():
            return tree.op == "sum" and _counts(tree.expr)
        case Binary():
            return tree.op in _LINEAR_OPS and _counts(tree.left) and _counts(tree.right)
        case Call():
            return tree.name in _LINEAR_CALLS and all(_counts(argument) for argument in tree.args)
        case MatrixSelector():
            return tree.range_ms == _PROBE_MS
        case _:
            return False


def _counting(tree: Expr) -> set[str]:
    return {node.name for node in walk(tree) if isinstance(node, Call) and node.name != "vector"}


def _is_one(tree: Expr) -> bool:
    inner = unwrap(tree)
    return isinstance(inner, NumberLiteral) and inner.value == 1


def _text(good: str, part: Expr) -> str:
    text = good[part.span.start : part.span.end]
    return f"({text})" if isinstance(part, Binary) else text
