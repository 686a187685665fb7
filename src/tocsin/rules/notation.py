"""The series notation of Prometheus's test files: `0+10x5 _x3 stale 7`."""

from __future__ import annotations

import re

from tocsin.errors import ParseError
from tocsin.model.labels import EMPTY_LABELS, Labels, MatchOp
from tocsin.model.series import STALE_NAN
from tocsin.promql.ast import VectorSelector
from tocsin.promql.parser import parse

MOST_SAMPLES = 10_000_000
# No hexadecimal numbers: `0x10` is "0, ten times again".
_NUMBER = r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI]nf|[nN]a[nN])"
_ITEM = re.compile(
    rf"(?P<gap>_)(?:x(?P<gaps>[0-9]+))?|(?P<stale>stale)"
    rf"|(?P<start>{_NUMBER})(?:(?P<delta>[+-](?:{_NUMBER[5:]}))?x(?P<times>[0-9]+))?"
)


class NotationError(Exception):
    """Not series notation; the text says what stood there."""


def parse_series(text: str) -> Labels:
    """`name{a="b"}` -> labels. Raises NotationError."""
    if text.strip() in ("", "{}"):
        return EMPTY_LABELS
    try:
        tree = parse(text)
    except ParseError as error:
        raise NotationError(str(error)) from error
    if not isinstance(tree, VectorSelector) or any(matcher.op is not MatchOp.EQUAL for matcher in tree.matchers):
        raise NotationError(f'expected a series such as up{{job="api"}}, not {text!r}')
    return Labels({matcher.name: matcher.value for matcher in tree.matchers})


def parse_values(text: str) -> list[float | None]:
    """One value per interval; None = no sample there. Raises NotationError."""
    values: list[float | None] = []
    for item in text.split():
        if item.startswith("{{"):
            raise NotationError("native histograms are not supported")
        match = _ITEM.fullmatch(item)
        if match is None:
            raise NotationError(f"expected values such as 1 0+10x5 _ stale, not {item!r}")
        values += _expanded(match)
        if len(values) > MOST_SAMPLES:
            raise NotationError(f"more than {MOST_SAMPLES} samples in one series")
    return values


def _expanded(match: re.Match[str]) -> list[float | None]:
    if match["gap"]:
        return [None] * _count(match["gaps"] or "1")
    if match["stale"]:
        return [STALE_NAN]
    start = float(match["start"])
    if match["times"] is None:
        return [start]
    delta = float(match["delta"]) if match["delta"] else 0.0
    out: list[float | None] = []
    value = start
    for _ in range(_count(match["times"]) + 1):
        out.append(value)
        value += delta  # added up step by step, as Prometheus does: the roundings are part of the result
    return out


def _count(text: str) -> int:
    count = int(text)
    if count > MOST_SAMPLES:
        raise NotationError(f"more than {MOST_SAMPLES} samples in one series")
    return count
