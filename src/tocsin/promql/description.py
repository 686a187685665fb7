"""Series as tests describe them: `metric{a="b"}  1+2x5 _ stale`, the language of promtool's rule tests and promqltest."""

from __future__ import annotations

import re

from tocsin.model.labels import Labels, MatchOp
from tocsin.model.series import STALE_NAN
from tocsin.promql import durations
from tocsin.promql.ast import Span
from tocsin.promql.errors import fail
from tocsin.promql.parser import Parser

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF]|[nN][aA][nN]"
_ITEM = re.compile(
    rf"(?P<blank>_)(?:x(?P<blanks>[0-9]+))?"
    rf"|(?P<first>stale|[+-]?(?:{_NUMBER}))(?:(?P<step>[+-](?:{_NUMBER})))?(?:x(?P<times>[0-9]+))?"
)
_MAX_VALUES = 5_000_000


def parse_series(text: str) -> tuple[Labels, list[float | None]]:
    """Labels and values, None where a sample is left out. `axn` is n + 1 values, `a+bxn` grows by b each.

    Raises ParseError; native histograms (`{{...}}`) are refused.
    """
    labels, rest = split_metric(text)
    if rest.strip() and rest[0] not in " \t":
        raise fail(text, Span(len(text) - len(rest), len(text)), "a space must follow the metric")
    values: list[float | None] = []
    for word in rest.split():
        values += _values(word, text)
        if len(values) > _MAX_VALUES:
            raise fail(text, Span(0, 0), "too many values")
    return labels, values


def split_metric(text: str) -> tuple[Labels, str]:
    """Labels of the metric that a text begins with, and what follows it."""
    end = _metric_end(text)
    metric = text[:end].strip()
    if metric in ("", "{}"):
        return Labels(), text[end:]
    parser = Parser(metric)
    selector = parser.selector()
    parser.end()
    for matcher in selector.matchers:
        if matcher.op is not MatchOp.EQUAL:
            raise fail(text, selector.span, f'unexpected "{matcher.op.value}" in label set, expected "="')
    return Labels((matcher.name, matcher.value) for matcher in selector.matchers), text[end:]


def _metric_end(text: str) -> int:
    """Behind the closing brace, or behind the name where there is none."""
    match = re.match(r"\s*[A-Za-z_:][A-Za-z0-9_:]*", text)
    at = match.end() if match else len(text) - len(text.lstrip())
    brace = re.match(r"\s*\{(?!\{)", text[at:])
    if brace is None:
        return at
    at += brace.end()
    quote = ""
    while at < len(text):
        char = text[at]
        at += 1
        if quote:
            if char == "\\" and quote != "`":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "\"'`":
            quote = char
        elif char == "}":
            return at
    return at


def _values(word: str, text: str) -> list[float | None]:
    match = _ITEM.fullmatch(word)
    if match is None:
        raise fail(text, Span(max(text.find(word), 0), len(text)), f"unexpected {word!r} in series values")
    if match["blank"]:
        return [None] * int(match["blanks"] or 1)
    value = _number(match["first"])
    if match["times"] is None:
        if match["step"]:
            raise fail(text, Span(max(text.find(word), 0), len(text)), f"unexpected {word!r} in series values")
        return [value]
    step = _number(match["step"]) if match["step"] else None
    out: list[float | None] = []
    for _ in range(int(match["times"]) + 1):
        out.append(value)
        if step is not None:
            value += step
    return out


def _number(text: str) -> float:
    if text == "stale":
        return STALE_NAN
    sign = -1.0 if text[0] == "-" else 1.0
    return sign * durations.parse_number(text.lstrip("+-"))
