"""Relabelling: each action as Prometheus documents it, and laws over random label sets."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.collect.relabel import Action, RelabelRule, relabel


def rule(**values: Any) -> RelabelRule:
    return RelabelRule(**values)


@pytest.mark.parametrize(
    ("labels", "step", "expected"),
    [
        (
            {"a": "foo", "b": "bar"},
            rule(source_labels=("a",), regex="f(.*)", target_label="d", replacement="ch${1}-ch${1}"),
            {"a": "foo", "b": "bar", "d": "choo-choo"},
        ),
        ({"a": "foo"}, rule(source_labels=("a",), regex="nomatch", target_label="a", replacement="x"), {"a": "foo"}),
        ({"a": "foo"}, rule(source_labels=("a",), regex="f.*", target_label="a", replacement=""), {}),
        ({"a": "foo", "b": "bar"}, rule(source_labels=("a", "b"), regex="foo;bar", action=Action.KEEP), {"a": "foo", "b": "bar"}),
        ({"a": "foo"}, rule(source_labels=("a",), regex="foo", action=Action.DROP), None),
        ({"a": "foo"}, rule(source_labels=("a",), regex=".*o.*", action=Action.DROP), None),
        ({"a": "foo"}, rule(source_labels=("a",), regex="fo", action=Action.DROP), {"a": "foo"}),
        ({"a": "x"}, rule(source_labels=("zz",), regex="", action=Action.KEEP), {"a": "x"}),
        ({"a": "foo", "b1": "1", "b2": "2"}, rule(regex="(b.*)", replacement="bar_$1", action=Action.LABEL_MAP),
         {"a": "foo", "b1": "1", "b2": "2", "bar_b1": "1", "bar_b2": "2"}),
        ({"a": "foo", "__meta_my_bar": "aaa"}, rule(regex="__meta_(my.*)", replacement="$1", action=Action.LABEL_MAP),
         {"a": "foo", "__meta_my_bar": "aaa", "my_bar": "aaa"}),
        ({"a": "1", "b1": "2", "b2": "3"}, rule(regex="b.*", action=Action.LABEL_DROP), {"a": "1"}),
        ({"a": "1", "b1": "2"}, rule(regex="b.*", action=Action.LABEL_KEEP), {"b1": "2"}),
        ({"a": "FoO"}, rule(source_labels=("a",), target_label="l", action=Action.LOWERCASE), {"a": "FoO", "l": "foo"}),
        ({"a": "FoO"}, rule(source_labels=("a",), target_label="u", action=Action.UPPERCASE), {"a": "FoO", "u": "FOO"}),
        ({"a": "1", "b": "1"}, rule(source_labels=("a",), target_label="b", action=Action.KEEP_EQUAL), {"a": "1", "b": "1"}),
        ({"a": "1", "b": "2"}, rule(source_labels=("a",), target_label="b", action=Action.KEEP_EQUAL), None),
        ({"a": "1", "b": "1"}, rule(source_labels=("a",), target_label="b", action=Action.DROP_EQUAL), None),
        ({"a": "some-name-value"},
         rule(source_labels=("a",), regex="some-([^-]+)-([^,]+)", target_label="${1}", replacement="${2}"),
         {"a": "some-name-value", "name": "value"}),
        ({"a": "x"}, rule(source_labels=("a",), target_label="t", replacement="$1x"), {"a": "x"}),
        ({"a": "x"}, rule(source_labels=("a",), regex="(?P<n>.*)", target_label="t", replacement="$$${n}!"),
         {"a": "x", "t": "$x!"}),
        ({"a": "line\nbreak"}, rule(source_labels=("a",), target_label="t", replacement="$1"),
         {"a": "line\nbreak", "t": "line\nbreak"}),
    ],
)  # fmt: skip
def test_each_action(labels: dict[str, str], step: RelabelRule, expected: dict[str, str] | None) -> None:
    assert relabel(dict(labels), [step]) == expected


def test_hashmod_is_prometheus_s() -> None:
    step = rule(source_labels=("c",), target_label="d", modulus=1000, action=Action.HASH_MOD)
    assert relabel({"c": "baz"}, [step]) == {"c": "baz", "d": "976"}  # the value in Prometheus's own relabel tests


def test_rules_apply_in_order_and_a_drop_ends_it() -> None:
    steps = [
        rule(source_labels=("a",), target_label="b"),
        rule(source_labels=("b",), regex="x", action=Action.DROP),
        rule(target_label="never", replacement="seen"),
    ]
    labels = {"a": "x"}
    assert relabel(labels, steps) is None
    assert "never" not in labels


_labels = st.dictionaries(st.sampled_from("abcd"), st.text("xyz/", min_size=1, max_size=4), max_size=4)


@settings(max_examples=60, deadline=None)
@given(_labels, st.integers(1, 50))
def test_hashmod_stays_below_its_modulus(labels: dict[str, str], modulus: int) -> None:
    step = rule(source_labels=("a", "b"), target_label="shard", modulus=modulus, action=Action.HASH_MOD)
    out = relabel(dict(labels), [step])
    text = f"{labels.get('a', '')};{labels.get('b', '')}"
    assert out is not None
    assert int(out["shard"]) == int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "big") % modulus


@settings(max_examples=80, deadline=None)
@given(_labels, st.sampled_from(["(x+)(.*)", "(.*)/(.*)", "y?(z*)", ".+"]))
def test_replace_agrees_with_a_plain_reading_of_the_rule(labels: dict[str, str], regex: str) -> None:
    step = rule(source_labels=("a", "b"), separator="/", regex=regex, target_label="t", replacement="<$1>")
    value = f"{labels.get('a', '')}/{labels.get('b', '')}"
    found = re.fullmatch(regex, value, re.DOTALL)
    expected = dict(labels)
    if found:
        expected["t"] = f"<{found[1] if found.re.groups else ''}>"
    assert relabel(dict(labels), [step]) == expected


@settings(max_examples=40, deadline=None)
@given(_labels)
def test_keep_and_drop_are_opposites(labels: dict[str, str]) -> None:
    kept = relabel(dict(labels), [rule(source_labels=("a",), regex="x.*", action=Action.KEEP)])
    dropped = relabel(dict(labels), [rule(source_labels=("a",), regex="x.*", action=Action.DROP)])
    assert (kept is None) != (dropped is None)
