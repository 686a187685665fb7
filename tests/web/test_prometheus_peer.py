"""Grafana's calls put to a real Prometheus and to us, with the same samples; and promtool against us."""

from __future__ import annotations

import re
import subprocess

import pytest
from tests.web.conftest import START_MS
from tests.web.prometheus_pair import ask, demo_batch, peer_binary, prometheus, push, served

pytestmark = pytest.mark.peer

END = START_MS // 1000
START = END - 3600
WINDOW = [("start", str(START)), ("end", str(END))]
QUANTILE = "histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))"
UTF8 = "U__http_2e_method"

# method, path, parameters
CALLS = [
    ("POST", "query", [("query", "1+1"), ("time", "4")]),
    ("GET", "query", [("query", "up"), ("time", str(END))]),
    ("GET", "query", [("query", "up[1m]"), ("time", str(END))]),
    ("GET", "query", [("query", '"text"'), ("time", "4")]),
    ("GET", "query", [("query", "up"), ("time", str(END)), ("limit", "1")]),
    ("GET", "query", [("query", "up"), ("time", "2023-11-14T22:13:20Z")]),
    ("POST", "query", [("query", "sum by (code) (rate(http_requests_total[5m]))"), ("time", f"{END}.5")]),
    ("POST", "query", [("query", "rate(temperature[5m])"), ("time", str(END))]),
    ("POST", "query_range", [("query", "sum by (code) (rate(http_requests_total[5m]))"), *WINDOW, ("step", "15")]),
    ("POST", "query_range", [("query", "temperature"), *WINDOW, ("step", "60")]),
    ("POST", "query_range", [("query", "odd"), *WINDOW, ("step", "30s")]),
    ("POST", "query_range", [("query", "odd / 0"), *WINDOW, ("step", "300")]),
    ("GET", "query_range", [("query", QUANTILE), *WINDOW, ("step", "1m")]),
    ("GET", "query_range", [("query", "up"), *WINDOW, ("step", "15"), ("timeout", "30s")]),
    ("GET", "query_range", [("query", "up"), *WINDOW, ("step", "15"), ("lookback_delta", "10s")]),
    ("GET", "query_range", [("query", "up"), *WINDOW, ("step", "1m"), ("limit", "1")]),
    ("GET", "query_range", [("query", "1"), ("start", str(START)), ("end", str(START + 11_001)), ("step", "1")]),
    ("GET", "query_range", [("query", "1"), ("start", str(START)), ("end", str(START + 11_000)), ("step", "1")]),
    ("GET", "query_range", [("query", "up"), ("start", str(END)), ("end", str(START)), ("step", "1")]),
    ("GET", "query_range", [("query", "up"), *WINDOW, ("step", "-1")]),
    ("GET", "query_range", [("query", "up"), *WINDOW, ("step", "x")]),
    ("GET", "query_range", [("query", "up"), *WINDOW]),
    ("GET", "query_range", [("query", "up"), ("end", str(END)), ("step", "1")]),
    ("GET", "query_range", [("query", "up[5m]"), *WINDOW, ("step", "60")]),
    ("GET", "query", [("query", "sum(")]),
    ("GET", "query", []),
    ("GET", "query", [("query", "up"), ("time", "x")]),
    ("GET", "query", [("query", "up"), ("timeout", "x")]),
    ("GET", "query", [("query", "up"), ("limit", "x")]),
    ("GET", "query", [("query", "up"), ("limit", "-1")]),
    ("GET", "query", [("query", "up"), ("lookback_delta", "x")]),
    ("GET", "query", [("query", "up + on (job) up"), ("time", str(END))]),
    ("GET", "query", [("query", 'label_replace(up, "a", "$1", "b", "(")'), ("time", str(END))]),
    ("GET", "labels", []),
    ("POST", "labels", [("match[]", "up"), *WINDOW]),
    ("GET", "labels", [("limit", "2")]),
    ("GET", "labels", [("match[]", "up{")]),
    ("GET", "label/job/values", []),
    ("GET", "label/job/values", [("match[]", "up"), *WINDOW]),
    ("GET", "label/__name__/values", [("limit", "3")]),
    ("GET", "label/__name__/values", [("match[]", '{job="home"}')]),
    ("GET", f"label/{UTF8}/values", []),
    ("GET", "label/none/values", []),
    ("POST", "label/job/values", []),
    ("GET", "label/room/values", []),
    ("GET", "series", [("match[]", "up"), *WINDOW]),
    ("POST", "series", [("match[]", "up"), ("match[]", '{room!=""}'), *WINDOW]),
    ("GET", "series", [("match[]", '{__name__=~".+"}'), *WINDOW, ("limit", "3")]),
    ("GET", "series", []),
    ("GET", "series", [("match[]", '{a=~".*"}')]),
    ("GET", "series", [("match[]", "up"), ("start", "x")]),
    ("GET", "series", [("match[]", "up"), ("start", str(END + 999_999)), ("end", str(END + 1_000_000))]),
    ("GET", "metadata", [("metric", "none")]),
    ("GET", "metadata", [("limit", "x")]),
    ("POST", "metadata", []),
    ("GET", "query_exemplars", [("query", "test"), ("start", str(START * 1000)), ("end", str(END * 1000))]),
    ("POST", "query_exemplars", [("query", "up"), *WINDOW]),
    ("GET", "query_exemplars", [("query", "up("), *WINDOW]),
    ("GET", "query_exemplars", [("query", "up"), ("start", "2"), ("end", "1")]),
    ("GET", "rules", []),
    ("GET", "rules", [("type", "alert")]),
    ("GET", "rules", [("type", "x")]),
    ("GET", "rules", [("group_limit", "1")]),
    ("GET", "rules", [("group_next_token", "abc")]),
    ("GET", "alerts", []),
    ("GET", "targets", []),
    ("GET", "scrape_pools", []),
    ("GET", "targets/metadata", []),
    ("GET", "alertmanagers", []),
    ("GET", "format_query", [("query", "foo/bar  +baz")]),
    ("GET", "format_query", [("query", "foo/")]),
    ("POST", "format_query", [("query", 'sum by(job)(rate(foo{code=~"5.."}[5m]))/ignoring(code)group_left sum(up)')]),
    ("GET", "parse_query", [("query", 'sum by (job) (rate(http_requests_total{code=~"5.."}[5m] offset 1m)) > bool 1')]),
    ("GET", "parse_query", [("query", "max_over_time(deriv(up[5m:1m] @ end())[10m:]) + on (a) group_left (b) foo")]),
    ("GET", "parse_query", [("query", '-topk(3, {"http.requests", x!="y"} @ 12.5) ^ (2 or vector(NaN))')]),
    ("GET", "parse_query", [("query", "up or on (job) foo unless bar and ignoring (x) up")]),
    ("GET", "parse_query", [("query", "foo{")]),
    ("GET", "status/walreplay", []),
    ("GET", "unknown", []),
    ("DELETE", "query", []),
]  # fmt: skip


@pytest.fixture
def pair(house, tmp_path):
    batch = demo_batch(START_MS)
    house.store.append(batch)
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with prometheus(folder) as theirs, served(house.client.app) as ours:
        push(theirs, batch)
        yield theirs, ours


def rounded(value):
    """Numbers to 12 digits: the last bits of a sum depend on its order."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"-?\d+\.\d+", value):
        return f"{float(value):.12g}"
    return value


def test_grafanas_calls_are_answered_as_prometheus_answers_them(pair):
    theirs, ours = pair
    differences = []
    for method, path, pairs in CALLS:
        want = ask(theirs, f"/api/v1/{path}", pairs, method=method)
        got = ask(ours, f"/api/v1/{path}", pairs, method=method)
        name = f"{method} {path} {pairs}"
        if want.status != got.status:
            differences.append(f"{name}: status {want.status} -> {got.status}\n  {want.body[:300]!r}\n  {got.body[:300]!r}")
            continue
        if "json" not in want.content_type:
            if want.status == 404 and b"page not found" not in got.body:
                differences.append(f"{name}: {got.body[:200]!r}")
            continue
        if ("limit", "3") in pairs:  # which ones are kept is nobody's promise; how many, and that it is said, is
            same = len(want.json()["data"]) == len(got.json()["data"]) and want.json()["warnings"] == got.json()["warnings"]
        else:
            same = rounded(want.json()) == rounded(got.json())
        if not same:
            differences.append(f"{name}:\n  {want.body[:600]!r}\n  {got.body[:600]!r}")
    assert not differences, f"{len(differences)} of {len(CALLS)}:\n" + "\n".join(differences)


def test_both_describe_themselves_with_the_same_fields(pair):
    theirs, ours = pair
    for path in ("status/buildinfo", "status/runtimeinfo", "status/tsdb", "status/config"):
        want, got = (ask(base, f"/api/v1/{path}", []).json()["data"] for base in (theirs, ours))
        assert set(want) == set(got), path
        if path == "status/tsdb":
            assert want["headStats"].keys() == got["headStats"].keys()
            assert want["headStats"]["numSeries"] == got["headStats"]["numSeries"]
            assert sorted(r["name"] for r in want["seriesCountByMetricName"]) == sorted(
                r["name"] for r in got["seriesCountByMetricName"]
            )


def test_federation_gives_the_same_samples(pair):
    theirs, ours = pair
    at = [("match[]", '{job=~".+"}')]
    want, got = (ask(base, "/federate", at) for base in (theirs, ours))
    assert (want.status, got.status) == (200, 200)
    # Prometheus federates the samples of its own last five minutes: in 2023 there are none for it.
    assert want.body == b""
    lines = got.body.decode().splitlines()
    assert f'up{{instance="a:1",job="shop"}} 1 {START_MS}' in lines
    assert ask(ours, "/federate", []).status == ask(theirs, "/federate", []).status == 200


@pytest.mark.parametrize(
    "command",
    [
        ["instant", "--time", str(END), "URL", "sum by (code) (http_requests_total)"],
        ["range", "--start", str(START), "--end", str(END), "--step", "15m", "URL", "up"],
        ["series", "--match", "up", "--start", str(START), "--end", str(END), "URL"],
        ["labels", "--start", str(START), "--end", str(END), "URL", "job"],
    ],
)
def test_promtool_sees_the_same(pair, command):
    theirs, ours = pair
    answers = []
    for base in (theirs, ours):
        full = [str(peer_binary("promtool")), "query", *[base if word == "URL" else word for word in command]]
        done = subprocess.run(full, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        answers.append(sorted(done.stdout.splitlines()))
    assert answers[0] == answers[1] and answers[0]
