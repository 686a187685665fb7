"""The Pushgateway's paths and bodies."""

from __future__ import annotations

import gzip

import pytest

from tocsin.formats import pushgateway
from tocsin.formats.pushgateway import PushError, grouping_key, read_push
from tocsin.model.labels import Labels


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("job/backup", {"job": "backup"}),
        ("job/backup/instance/db-1", {"job": "backup", "instance": "db-1"}),
        ("job/directory_cleaner/path@base64/L3Zhci90bXA", {"job": "directory_cleaner", "path": "/var/tmp"}),
        ("job/directory_cleaner/path@base64/L3Zhci90bXA=", {"job": "directory_cleaner", "path": "/var/tmp"}),
        ("job@base64/8J-MiA/empty@base64/=", {"job": "🌈"}),
        ("job/a/plain/", {"job": "a"}),
    ],
)
def test_a_path_names_its_group(rest: str, expected: dict[str, str]) -> None:
    assert grouping_key(rest) == Labels(expected)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("job/a/instance", "odd number"),
        ("job/", "job name is required"),
        ("job@base64/=", "job name is required"),
        ("instance/a", "job name is required"),
        ("job/a/__name__/b", "improper label name"),
        ("job/a/b-c/d", "improper label name"),
        ("job/a/b/1/b/2", "twice"),
        ("job@base64/%%%", "invalid base64"),
        ("job@base64/_w", "invalid base64"),
    ],
)
def test_a_wrong_path_is_refused(rest: str, said: str) -> None:
    with pytest.raises(PushError, match=said) as caught:
        grouping_key(rest)
    assert caught.value.status == 400


GROUP = Labels({"job": "backup", "instance": "db-1"})


def test_the_group_wins_over_the_labels_of_the_body_and_others_are_honoured() -> None:
    body = b'# TYPE rows gauge\n# HELP rows Rows.\nrows{job="other",table="a"} 3\nrows{table="b"} 4\npush_time_seconds 1\n'
    push = read_push(body, "application/x-www-form-urlencoded", "", GROUP)
    assert push.values == {
        Labels({"__name__": "rows", "job": "backup", "instance": "db-1", "table": "a"}): 3.0,
        Labels({"__name__": "rows", "job": "backup", "instance": "db-1", "table": "b"}): 4.0,
    }
    assert [entry.text for entry in push.metadata] == ["gauge", "Rows."]


def test_openmetrics_and_gzip_are_read() -> None:
    body = gzip.compress(b"rows 3\n# EOF\n", mtime=0)
    assert list(read_push(body, "application/openmetrics-text; version=1.0.0", "gzip", GROUP).values.values()) == [3.0]


@pytest.mark.parametrize(
    ("body", "kind", "encoding", "status", "said"),
    [
        (b"rows 3\nrows x\n", "", "", 400, "line 2: expected a number"),
        (b"rows 3 1700000000000\n", "", "", 400, "must not have timestamps"),
        (b'rows{job="a"} 3\nrows{job="b"} 4\n', "", "", 400, "is there twice"),
        (b"\x08", "application/vnd.google.protobuf; encoding=delimited", "", 415, "push the text format"),
        (b"rows 3\n", "", "br", 415, "use gzip or none"),
        (b"rows 3\n", "", "gzip", 400, "not valid gzip"),
        (gzip.compress(b"rows 3\n", mtime=0)[:-4], "", "gzip", 400, "ends too early"),
    ],
)
def test_a_faulty_body_is_refused_whole(body: bytes, kind: str, encoding: str, status: int, said: str) -> None:
    with pytest.raises(PushError, match=said) as caught:
        read_push(body, kind, encoding, GROUP)
    assert caught.value.status == status


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(OverflowError, match="more than 100 bytes"):
        pushgateway.gunzip(gzip.compress(b"\0" * 10_000), 100)
