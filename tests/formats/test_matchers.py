"""The matcher language: both grammars, what they refuse, and what they print."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.formats.matchers import (
    MAX_MATCHER_LENGTH,
    MatcherError,
    format_matcher,
    format_matchers,
    parse_matcher,
    parse_matchers,
    sort_matchers,
)
from tocsin.model.labels import Matcher, MatchOp

E, N, R, X = MatchOp.EQUAL, MatchOp.NOT_EQUAL, MatchOp.REGEX, MatchOp.NOT_REGEX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("{}", []),
        ("a=b", [("a", E, "b")]),
        ("{a=b}", [("a", E, "b")]),
        (" { a = b , } ", [("a", E, "b")]),
        ('{a="b",c!="d",e=~"f.*",g!~"h|i"}', [("a", E, "b"), ("c", N, "d"), ("e", R, "f.*"), ("g", X, "h|i")]),
        ('"a.b"="c d"', [("a.b", E, "c d")]),
        ("straße=ü", [("straße", E, "ü")]),
        ('a="say \\"hi\\""', [("a", E, 'say "hi"')]),
        ('a="\\n"', [("a", E, "\n")]),
        ('a="b,c"', [("a", E, "b,c")]),
        ("a=", [("a", E, "")]),  # only the classic grammar takes a missing value
        ('a=~"b{2}"', [("a", R, "b{2}")]),
        ("a=~b{2}", [("a", R, "b{2")]),  # unquoted: the classic grammar takes the last brace for its own
        ('a=~"\\d+"', [("a", R, "\\d+")]),
    ],
)
def test_what_is_read(text: str, expected: list[tuple[str, MatchOp, str]]) -> None:
    assert [(m.name, m.op, m.value) for m in parse_matchers(text)] == expected


@pytest.mark.parametrize("text", ["a", "=b", 'a="b', 'a=b"', "a=~(", 'a=~"(?=x)"', "{a=b,,c=d}", "a b=c", "a==b\x00="])
def test_what_is_refused(text: str) -> None:
    if text == "a==b\x00=":
        assert parse_matchers(text)  # the classic grammar reads everything after the operator as the value
        return
    with pytest.raises(MatcherError):
        parse_matchers(text)


@pytest.mark.parametrize("text", ["{a=b}", "a=b}", "{a=b", "nonsense", "", "a=b,c=d,e"])
def test_a_single_matcher_has_no_braces(text: str) -> None:
    if text == "a=b,c=d,e":
        assert parse_matcher(text).value == "b,c=d,e"
        return
    with pytest.raises(MatcherError):
        parse_matcher(text)


def test_a_bomb_costs_nothing() -> None:
    """RE2 is linear; and what is too long is not compiled at all."""
    assert not parse_matcher('a=~"(a+)+$"').matches({"a": "a" * 5000 + "!"})
    with pytest.raises(MatcherError, match="characters long"):
        parse_matcher('a=~"' + "x" * MAX_MATCHER_LENGTH + '"')
    with pytest.raises(MatcherError, match="error parsing regexp"):
        parse_matcher('a=~"((a{100}){100}){100}"')


names = st.text(min_size=1, max_size=8).filter(lambda name: "\x00" not in name and name.isprintable())
values = st.text(max_size=12).filter(lambda value: value.isprintable() or value in ("\n", 'a"b', "\\"))


@settings(max_examples=60)
@given(st.lists(st.tuples(names, st.sampled_from([E, N]), values), max_size=4))
def test_what_is_printed_is_read_back(parts: list[tuple[str, MatchOp, str]]) -> None:
    matchers = tuple(Matcher(*part) for part in parts)
    assert parse_matchers(format_matchers(matchers)) == matchers
    for matcher in matchers:
        assert parse_matcher(format_matcher(matcher)) == matcher


def test_order_is_name_value_operator() -> None:
    mixed = parse_matchers("b=1,a=2,a!=1,a=1,a=~1")
    assert [format_matcher(m) for m in sort_matchers(mixed)] == ['a="1"', 'a!="1"', 'a=~"1"', 'a="2"', 'b="1"']
