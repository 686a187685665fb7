"""The fast way of a scrape answers what reading every line anew would; numbers are exactly those of `float`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.collect.layout import BadExposition, Layout, unpacked
from tocsin.collect.scrape_lines import Body, changed, following
from tocsin.collect.scrape_numbers import SHORTEST, read_decimals

NUMBERS = st.one_of(
    st.floats().map(repr),
    st.floats(-1e9, 1e9).map(lambda value: f"{value:.6g}"),
    st.integers(-(10**18), 10**18).map(str),
    st.decimals(-(10**6), 10**6, places=3).map(str),
    st.sampled_from(
        ["NaN", "+Inf", "-Inf", "0x1p3", "1e+06", "1.5e-07", "1E5", "5.", ".5", "-0", "1_0", "", "1 2", "x", "1e+0", "--1"]
    ),
    st.text("0123456789.-+e_ ", max_size=20),
)
SERIES = st.sampled_from(
    ["a", "ab", "a_total", 'a{b="c"}', 'a{b="c d"}', 'a{b="} 1"}', 'a{b="c",d="1.5"}', "# HELP a b", "", "  "]
)
LINES = st.lists(st.tuples(SERIES, NUMBERS).map(lambda pair: f"{pair[0]} {pair[1]}" if pair[0] else ""), max_size=12)


def bits(values: np.ndarray) -> list[int]:
    return values.view(np.uint64).tolist()


@given(texts=st.lists(NUMBERS, min_size=1, max_size=30))
@settings(max_examples=100, deadline=None)
@example(texts=["123456789012345", "1234567890.12345", "9.99999999999999e+22", "1e-22", "-1.e+05"])
def test_numbers_read_together_are_those_of_float(texts: list[str]) -> None:
    body, starts, ends = b"x" * SHORTEST, [], []
    for text in texts:
        body += b'a{b="1.5"} '
        starts.append(len(body))
        body += text.encode()
        ends.append(len(body))
        body += b"\n"
    values, read = read_decimals(body, np.array(starts), np.array(ends))
    for text, value, good in zip(texts, bits(values), read.tolist(), strict=True):
        if good:
            assert value == bits(np.array([float(text)]))[0], text
            assert "_" not in text


def test_what_exporters_usually_write_is_read_together() -> None:
    texts = ["0", "7", "1027", "3.25", "-12.5", "1.283e+06", "2.5e-05", "1.7638300e+09", "99999999999999"]
    body = b"some_series_text " + b" ".join(text.encode() for text in texts)
    ends = np.cumsum([len(text) + 1 for text in texts]) - 1 + 17
    _, read = read_decimals(body, ends - [len(text) for text in texts], ends)
    assert read.all()


@given(before=LINES, after=LINES)
@settings(max_examples=100, deadline=None)
def test_changed_lines_are_those_that_differ(before: list[str], after: list[str]) -> None:
    count = min(len(before), len(after))
    old, new = (Body.of("".join(f"{line}\n" for line in lines[:count]).encode()) for lines in (before, after))
    lines, first = changed(old, new)
    pairs = list(zip(old.lines(), new.lines(), strict=True))
    assert lines.tolist() == [number for number, (one, other) in enumerate(pairs) if one != other]
    for number, at in zip(lines.tolist(), first.tolist(), strict=True):
        local = at - int(new.starts[number])
        one, other = (line + b"\n" for line in pairs[number])
        assert one[:local] == other[:local]
        assert one[local : local + 1] != other[local : local + 1]


@given(
    before=st.text("ab1\n", min_size=1, max_size=40),
    changes=st.dictionaries(st.integers(0, 39), st.sampled_from("ab1\n"), max_size=4),
)
@settings(max_examples=200, deadline=None)
@example(before="a 1\nb 1\na 1\nb 12", changes={2: "2", 6: "a", 17: "3"})
def test_a_body_of_the_same_length_is_compared_before_its_lines_are_looked_for(before: str, changes: dict[int, str]) -> None:
    old = Body.of(before.encode())
    text = bytearray(old.text)
    for place, char in changes.items():
        if place < len(text) - 1:
            text[place] = ord(char)
    new, at = following(old, bytes(text))
    assert new.ends.tolist() == Body.of(bytes(text)).ends.tolist()
    if at is not None:
        assert at.tolist() == [place for place, (a, b) in enumerate(zip(old.text, text, strict=True)) if a != b]
        assert [found.tolist() for found in changed(old, new, at)] == [found.tolist() for found in changed(old, new)]
    else:
        assert len(text) == len(old.text) and any(
            b"\n" in (old.text[n : n + 1], text[n : n + 1]) for n in range(len(text)) if old.text[n] != text[n]
        )


def read(layout: Layout, body: bytes) -> tuple[dict[object, int], Sequence[object]] | str:
    try:
        columns = layout.read(body, "text")
    except BadExposition as error:
        return str(error).partition(":")[0]
    return dict(zip(layout.labels(), bits(columns.values), strict=True)), sorted(map(repr, columns.timed))


@given(bodies=st.lists(LINES, min_size=2, max_size=4), many=st.booleans(), ends=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_known_layout_answers_what_a_new_one_would(bodies: list[list[str]], many: bool, ends: bool) -> None:
    layout = Layout(lambda labels: labels)
    filler = [f'filler{{n="{n}"}} ' for n in range(450 if many else 0)]
    for round_, lines in enumerate(bodies):
        text = "\n".join([*lines, *(f"{line}{round_ * 7}" for line in filler)]) + ("\n" if ends else "")
        assert read(layout, text.encode()) == read(Layout(lambda labels: labels), text.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"foo 1\n", b"foo2 1\n"),
        (b"foo 1\n", b'foo{a="b"} 1\n'),
        (b"foo 12\n", b"foo 1\n"),
        (b"foo 12", b"foo 1"),
        (b"foo 1", b"foo 12"),
        (b"foo 1\nbar 2\n", b"fo 1\nobar 2\n"),
        (b"foo 1 5\n", b"foo 1 6\n"),
        (b"foo 1\n", b"foo\t2\n"),
        (b"foo 1\r\n", b"foo 2\r\n"),
        (b"", b"foo 1\n"),
        (b"foo 1\n", b""),
    ],
)
def test_lines_that_look_alike(before: bytes, after: bytes) -> None:
    layout = Layout(lambda labels: labels)
    read(layout, before)
    assert read(layout, after) == read(Layout(lambda labels: labels), after)


def test_after_an_interruption_known_series_are_told_in_full_but_not_parsed_again() -> None:
    parsed = []
    layout = Layout(lambda labels: parsed.append(labels) or labels)
    body = b'a 1\nb{c="d"} 2\n# TYPE a counter\n'
    assert len(layout.read(body, "text").fresh) == 2
    layout.interrupt()
    columns = layout.read(body, "text")
    assert (columns.same_layout, columns.fresh, columns.origin.tolist(), len(parsed)) == (False, [], [0, 1], 2)


@given(bodies=st.lists(LINES, min_size=2, max_size=5), forgets=st.sets(st.integers(1, 4)))
@settings(max_examples=100, deadline=None)
def test_where_a_series_stood_before_leads_to_its_labels(bodies: list[list[str]], forgets: set[int]) -> None:
    layout = Layout(lambda labels: labels)
    known: list[object] = []
    for round_, lines in enumerate(bodies):
        if round_ in forgets:
            layout.interrupt()
        try:
            columns = layout.read("".join(f"{line}\n" for line in lines).encode(), "text")
        except BadExposition:
            continue
        if not columns.same_layout:
            known = [known[place] if place >= 0 else unpacked(columns.fresh[-1 - place]) for place in columns.origin.tolist()]
        assert known == layout.labels()
