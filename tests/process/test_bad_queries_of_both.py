"""Bad questions to the real Tocsin and a real Prometheus: the same status and text for the same fault, others by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.process.both import prometheus_in, send

pytestmark = [pytest.mark.process, pytest.mark.peer]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SAME = "the same"
MIB = 1024 * 1024


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[int]:
    with prometheus_in(tmp_path) as port:
        yield port


def query(text: str) -> tuple[str, bytes]:
    return "/api/v1/query", urlencode({"query": text}).encode()


def chosen(text: str) -> tuple[str, bytes]:
    return "/api/v1/series", urlencode({"match[]": text}).encode()


def span(**more: str | int) -> tuple[str, bytes]:
    return "/api/v1/query_range", urlencode({"query": "up", "start": 0, "end": 1_700_000_000, "step": 1, **more}).encode()


NAMES = [f"l{number}" for number in range(200_000)]
CASES: dict[str, tuple[tuple[str, bytes], int, str]] = {
    # Name -> request, our status, a part of our text (or: all of it as Prometheus's).
    "a regular expression that would backtrack": (query('up{a=~"(a+)+(a|aa)*$"}'), 200, SAME),
    "one of a replacement": (query('label_replace(vector(1), "x", "$1", "a", "((a+)+)+$")'), 200, '"status":"success"'),
    "one that is none": (query('label_replace(vector(1), "x", "$1", "a", "(")'), 422, SAME),
    "one in a selector": (query('up{a=~"("}'), 400, SAME),
    "a repetition of repetitions": (query('up{a=~"((a{1000}){1000}){1000}"}'), 400, SAME),
    "a backreference": (query('up{a=~"(a)\\\\1"}'), 400, SAME),
    "a look ahead": (query('up{a=~"a(?=b)"}'), 400, SAME),
    "series by such a regular expression": (chosen('{a=~"(a+)+(a|aa)*$"}'), 200, SAME),
    "a thousand years": (query("max_over_time(up[1000y])"), 400, SAME),
    "billions of steps": (span(step="0.001"), 400, SAME),
    "the end before the start": (span(end=-1), 400, SAME),
    "a zero of a text": (query('up{a="\x00"}'), 200, SAME),
    # Prometheus reads forms up to 10 MB and evaluates what is in them for as long as it takes; ours has a limit that it names.
    "ten megabytes of sums": (query("up" + "-up" * 3_500_000), 400, f"longer than {MIB} characters"),
    "ten megabytes of text": (query('up{a="' + "x" * 9_000_000 + '"}'), 400, f"longer than {MIB} characters"),
    "a million alternatives": (query('up{a=~"' + "|".join(f"v{n}" for n in range(1_000_000)) + '"}'), 400, f"than {MIB} char"),
    "a million labels to group by": (query(f"sum by ({', '.join(NAMES)}) (up)"), 400, f"longer than {MIB} characters"),
    "a selector of a million matchers": (
        chosen("{" + ",".join(f'{n}="x"' for n in NAMES) + "}"),
        400,
        f"longer than {MIB} characters",
    ),
    "depths": (query("(" * 50_000 + "up" + ")" * 50_000), 400, "expression is nested too deeply"),
    # Prometheus charges a subquery's steps only where there are samples.
    "a year of milliseconds": (query("count_over_time(up[1y:1ms])"), 422, "would load too many samples into memory"),
}
NOT_ASKED_OF_PROMETHEUS = {"ten megabytes of sums", "depths"}
"""It is busy with them for up to a minute."""


def test_bad_questions_are_answered_as_prometheus_answers_them(tocsin, prometheus: int) -> None:
    tocsin.start()
    web = tocsin.children()["web"]
    before = web.memory_info().rss
    for name, ((path, body), status, said) in CASES.items():
        ours = send(tocsin.port, path, body, FORM)
        assert ours[0] == status, (name, ours[1][:500])
        assert len(ours[1]) < 20_000, name
        if said != SAME:
            assert said in ours[1], (name, ours[1][:500])
        if name not in NOT_ASKED_OF_PROMETHEUS and said == SAME:
            theirs = send(prometheus, path, body, FORM)
            assert (ours[0], json.loads(ours[1])) == (theirs[0], json.loads(theirs[1])), name
    assert tocsin.query("vector(1)") == [({}, 1.0)]
    assert web.pid == tocsin.children()["web"].pid, "nothing of this ended the process"
    assert web.memory_info().rss - before < 256 * MIB
    # An address is no place for ten megabytes: both hang up or say so.
    for port in (prometheus, tocsin.port):
        assert send(port, "/api/v1/query?query=" + "x" * 10_000_000, None)[0] in (0, 400, 414, 431)
