"""Text to tree and back: shapes, positions, error texts; and that no text at all breaks the parser."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conformance.promql_random import QueryMaker

from tocsin.errors import ParseError
from tocsin.model.labels import Matcher, MatchOp
from tocsin.promql import ast
from tocsin.promql.parser import parse, parse_selector
from tocsin.promql.printer import format_expr, format_query

EXPERIMENTAL = frozenset({"promql-experimental-functions", "promql-duration-expr"})


@pytest.mark.parametrize(
    ("query", "normal"),
    [
        ("1+2*3^2", "1 + 2 * 3 ^ 2"),
        ("-1^2", "-1 ^ 2"),
        ("2^-1", "2 ^ -1"),
        ("SUM BY(a,b)(x)", "sum by (a, b) (x)"),
        ("sum(x)without()", "sum without () (x)"),
        ("sum", "sum"),
        ("by{a='b'}", 'by{a="b"}'),
        ('{"metric.name",a!~"x"}', '{__name__="metric.name",a!~"x"}'),
        ('x{"label.name"=`v`}', 'x{"label.name"="v"}'),
        ("x offset -90s", "x offset -1m30s"),
        ("x[5m] @ 1.5 offset 1h", "x[5m] @ 1.500 offset 1h"),
        ("x @ start() - y @ end()", "x @ start() - y @ end()"),
        ("rate(x[5m])[1h:] offset 1d", "rate(x[5m])[1h:] offset 1d"),
        ("a==bool on(x)group_left(y)b", "a == bool on (x) group_left (y) b"),
        ("a and ignoring (x) b", "a and ignoring (x) b"),
        ("topk(3,x)", "topk(3, x)"),
        ("0x1F + 1_000 + 017 + .5 + 1e3 + Inf + NaN", "31 + 1000 + 15 + 0.5 + 1000 + +Inf + NaN"),
        ("1h30m", "1h30m"),
        ("# a comment\n x # another", "x"),
        (r'label_replace(x, "a", "\x41\u00e9\n", `b\`, "(.*)")', 'label_replace(x, "a", "Aé\\n", "b\\\\", "(.*)")'),
    ],
)
def test_a_query_prints_in_its_normal_form(query: str, normal: str) -> None:
    expr = parse(query, EXPERIMENTAL)
    assert format_expr(expr) == normal
    assert format_expr(parse(normal, EXPERIMENTAL)) == normal


def test_duration_expressions_keep_their_form() -> None:
    assert format_expr(parse("x[5m*2] offset -(1m+30s)", EXPERIMENTAL)) == "x[5m * 2] offset -(1m + 30s)"


def test_long_queries_are_laid_out_over_lines() -> None:
    part = "sum by (job, instance) (rate(http_requests_total{}[5m]))"
    text = part.replace("{}", '{code=~"5.."}') + " / " + part.replace("{}", "")
    assert format_query(parse(text)) == (
        '  sum by (job, instance) (rate(http_requests_total{code=~"5.."}[5m]))\n'
        "/\n"
        "  sum by (job, instance) (rate(http_requests_total[5m]))"
    )


def test_nodes_know_where_they_stand() -> None:
    query = "sum(rate(x_total[5m])) > 1"
    expr = parse(query)
    assert isinstance(expr, ast.Binary) and isinstance(expr.left, ast.Aggregate)
    texts = [query[node.span.start : node.span.end] for node in ast.walk(expr)]
    assert texts == [query, "sum(rate(x_total[5m]))", "rate(x_total[5m])", "x_total[5m]", "x_total", "1"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "unknown position: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("foo and 1", '1:1: parse error: set operator "and" not allowed in binary scalar expression'),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("foo[5m", "1:7: parse error: unclosed left bracket"),
        ('foo{a="b"', "1:10: parse error: unexpected end of input inside braces"),
        ("rate(foo)", '1:6: parse error: expected type range vector in call to function "rate", got instant vector'),
        ("floor()", '1:1: parse error: expected 1 argument(s) in call to "floor", got 0'),
        ("nope(x)", '1:1: parse error: unknown function with name "nope"'),
        ("sum by (", "1:9: parse error: unclosed left parenthesis"),
        ("sum by x (foo)", '1:8: parse error: unexpected identifier "x" in grouping opts, expected "("'),
        ("foo offset", "1:11: parse error: unexpected end of input in offset, expected number or duration"),
        ("foo[0s]", "1:5: parse error: duration must be greater than 0"),
        ('{a=""}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('x\n  + y{a=~"("}', "2:7: parse error: error parsing regexp: missing closing ): `(`"),
        ('"ü" + €', "1:8: parse error: unexpected character: '€'"),
        ("mad_over_time(x[5m])", '1:1: parse error: function "mad_over_time" is not enabled'),
        ("x[5m+1m]", "1:3: parse error: experimental duration expression is not enabled"),
    ],
)
def test_errors_are_prometheuss_with_line_and_column(query: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(query)
    assert str(caught.value) == message
    assert 0 <= caught.value.start <= max(caught.value.end, len(query))


def test_selectors_parse_alone() -> None:
    assert parse_selector('up{job="a"}') == (
        Matcher("job", MatchOp.EQUAL, "a"),
        Matcher("__name__", MatchOp.EQUAL, "up"),
    )
    with pytest.raises(ParseError):
        parse_selector("up + 1")


def test_a_chain_of_a_thousand_operators_is_an_ordinary_query() -> None:
    expr = parse(" or ".join(["x"] * 1000))
    assert len(ast.selectors(expr)) == 1000


def test_absurd_nesting_is_refused_instead_of_exhausting_the_stack() -> None:
    for text in ("(" * 20_000, "-" * 20_000 + "1", "sum(" * 5_000 + "x" + ")" * 5_000, "abs(" * 5000):
        with pytest.raises(ParseError):
            parse(text)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_printing_and_parsing_again_changes_nothing(seed: int) -> None:
    query = QueryMaker(random.Random(seed)).query()
    printed = format_expr(parse(query, EXPERIMENTAL))
    assert format_expr(parse(printed, EXPERIMENTAL)) == printed
    assert format_expr(parse(format_query(parse(query, EXPERIMENTAL)), EXPERIMENTAL)) == printed


_PIECES = st.sampled_from(
    ["sum", "rate", "(", ")", "[5m]", "[", "]", "{", "}", "a", '"b"', "'", "`", "\\", "=", "=~", "!~", "offset", "@", "by", "on",
     "group_left", "-", "+", "^", "5m", "1", "0x", ".", "_", ":", ",", "#", "\n", " ", "\x00", "é", "\ud800", "bool", "start()"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=25).map("".join), st.lists(_PIECES, max_size=15).map(" ".join)))
def test_any_text_gives_a_tree_or_a_parse_error(text: str) -> None:
    try:
        expr = parse(text, EXPERIMENTAL)
    except ParseError:
        return
    assert format_expr(parse(format_expr(expr), EXPERIMENTAL)) == format_expr(expr)
