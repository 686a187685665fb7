"""The exposition formats, compared with prometheus_client's parser where it speaks."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tocsin.formats.exposition import format_of, format_value, parse, parse_exemplar, parse_sample, write_text
from tocsin.metrics import Family, Sample

TEXT = b"""# HELP http_requests_total The total.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400",}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by } zero"} +Inf -3982045
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds_sum 1.7560473e+07
{"utf8.name", "label.dotted"="x"} NaN
"""


def test_the_text_format_is_read_as_the_format_page_says() -> None:
    found, errors = parse(TEXT)
    assert errors == []
    by_name = {str(sample.labels): (sample.value, sample.t_ms) for sample in found.samples}
    assert by_name['http_requests_total{code="200", method="post"}'] == (1027.0, 1395066363000)
    assert by_name["metric_without_timestamp_and_labels"] == (12.47, None)
    assert by_name['something_weird{problem="division by } zero"}'] == (math.inf, -3982045)
    weird = next(s for s in found.samples if s.labels.get("path"))
    assert weird.labels["error"] == 'Cannot find file:\n"FILE.TXT"'
    assert weird.labels["path"] == "C:\\DIR\\FILE.TXT"
    utf8 = found.samples[-1]
    assert (utf8.labels["__name__"], utf8.labels["label.dotted"]) == ("utf8.name", "x")
    assert [(m.metric, m.field, m.text) for m in found.metadata][:2] == [
        ("http_requests_total", "help", "The total."),
        ("http_requests_total", "type", "counter"),
    ]


def test_openmetrics_timestamps_are_seconds_and_exemplars_are_passed_over() -> None:
    body = b'# TYPE a histogram\na_bucket{le="1"} 3 1520879607.789 # {trace="x # {y"} 0.5 1520879607\n# UNIT a seconds\n# EOF\n'
    found, errors = parse(body, "openmetrics")
    assert errors == []
    assert (found.samples[0].value, found.samples[0].t_ms) == (3.0, 1520879607789)
    _, cut = parse(b"a 1\n", "openmetrics")
    assert "does not end with # EOF" in str(cut[0])


@pytest.mark.parametrize(
    "line",
    [
        b"a",
        b"a{",
        b"a{b} 1",
        b'a{b="c" d="e"} 1',
        b'a{b="c"',
        b"a 1_000",
        b"a one",
        b"a 1 2 3",
        b"a 1 x",
        b'a{b="1",b="2"} 1',
        b'{b="1"} 1',
        b"1a 1",
        b'a{b="\xff"} 1',
        b"a{b='c'} 1",
        b"<html>",
    ],
)
def test_garbage_is_refused_and_costs_only_its_line(line: bytes) -> None:
    found, errors = parse(b"good 1\n" + line + b"\ngood2 2\n")
    assert len(errors) == 1
    assert errors[0].line == 2
    assert len(found.samples) == 2


def test_content_types_choose_the_format() -> None:
    assert format_of("text/plain; version=0.0.4; charset=utf-8") == "text"
    assert format_of("application/openmetrics-text; version=1.0.0") == "openmetrics"
    assert format_of("", "PrometheusText0.0.4") == "text"
    assert format_of("text/html", "OpenMetricsText1.0.0") == "openmetrics"
    with pytest.raises(ValueError, match="fallback_scrape_protocol"):
        format_of("text/html")


_names = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
_label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True).filter(lambda s: not s.startswith("__"))
_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)
_values = st.floats(allow_nan=True, allow_infinity=True)
_families = st.lists(
    st.tuples(_names, st.dictionaries(_label_names, _texts.filter(bool), max_size=3), _values),
    min_size=1,
    max_size=5,
    unique_by=lambda entry: entry[0],
)


@settings(max_examples=25, deadline=None)
@given(_families)
def test_what_is_written_reads_back_the_same_here_and_with_prometheus_client(entries: list) -> None:  # type: ignore[type-arg]
    families = [
        Family(name, "gauge", "a \\ help\nof two lines", (Sample(name, tuple(sorted(labels.items())), value),))
        for name, labels, value in entries
    ]
    body = write_text(families)
    found, errors = parse(body)
    assert errors == []
    ours = [({k: v for k, v in s.labels.items() if k != "__name__"}, s.value) for s in found.samples]
    theirs = [(s.labels, s.value) for family in read_text(body.decode()) for s in family.samples]
    for (our_labels, our_value), (their_labels, their_value), (_, labels, value) in zip(ours, theirs, entries, strict=True):
        assert our_labels == their_labels == labels
        for got in (our_value, their_value):
            assert got == value or (math.isnan(got) and math.isnan(value))


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(_label_names, _texts.filter(bool), max_size=3), st.floats(allow_nan=False), st.integers(0, 10**10))
def test_openmetrics_lines_agree_with_prometheus_client(labels: dict[str, str], value: float, seconds: int) -> None:
    pairs = ",".join(
        f'{k}="{v.replace(chr(92), chr(92) * 2).replace(chr(10), chr(92) + "n").replace(chr(34), chr(92) + chr(34))}"'
        for k, v in labels.items()
    )
    body = f"# TYPE a gauge\na{{{pairs}}} {format_value(value)} {seconds}.25\n# EOF\n"
    ours = parse(body.encode(), "openmetrics")[0].samples[0]
    theirs = next(iter(read_openmetrics(body))).samples[0]
    assert {k: v for k, v in ours.labels.items() if k != "__name__"} == theirs.labels
    assert ours.value == theirs.value
    assert ours.t_ms == round(float(theirs.timestamp) * 1000)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_never_worse(line: bytes) -> None:
    try:
        parse_sample(line)
    except ValueError:
        pass
    parse(line, "openmetrics")


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_after_a_series_are_an_exemplar_or_refused(tail: bytes) -> None:
    for text in (tail, b" 1 # " + tail, b" 1 # {" + tail):
        with contextlib.suppress(ValueError):
            parse_exemplar(text, 5)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b" 1", None),
        (b' 1 # {a="b"} 0.5', ({"a": "b"}, 0.5, 5, False)),
        (b" 1 1520879607.789 # {} -2 1520879607.789", ({}, -2.0, 1_520_879_607_789, True)),
        (b' 1 # {a="\\" } # {"} +Inf', ({"a": '" } # {'}, float("inf"), 5, False)),
        (b" 1 # {a=b} 1", ValueError),
        (b" 1 # {} ", ValueError),
        (b" 1 # {} 1 2 3", ValueError),
        (b" 1 # {} 1 x", ValueError),
    ],
)
def test_exemplars(tail: bytes, expected: object) -> None:
    if expected is ValueError:
        with pytest.raises(ValueError, match="expected"):
            parse_exemplar(tail, 5)
        return
    found = parse_exemplar(tail, 5)
    assert (None if found is None else (dict(found.labels), found.value, found.t_ms, found.timed)) == expected
