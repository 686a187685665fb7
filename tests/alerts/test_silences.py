"""Silences: what may be set, what a change comes to, what they cover, and what is said before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.alerts.conftest import START_MS

from tocsin.alerts.preview import preview_silence
from tocsin.alerts.silence import Silencer, expire, set_silence, silence_rows, sort_silences, too_broad
from tocsin.errors import CommandError
from tocsin.formats.matchers import parse_matchers
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.route import Silence, SilenceState
from tocsin.state import events

HOUR_MS = 3_600_000
NOW_MS = START_MS
ACTIVE = Silence("old", parse_matchers("a=b,c=~d"), NOW_MS - HOUR_MS, NOW_MS + HOUR_MS, "ana", "why")
PENDING = replace(ACTIVE, starts_at_ms=NOW_MS + HOUR_MS, ends_at_ms=NOW_MS + 2 * HOUR_MS)
EXPIRED = replace(ACTIVE, ends_at_ms=NOW_MS - 1)


def alert_of(**labels: str) -> Alert:
    return Alert(Labels(labels), {}, NOW_MS)


def test_a_new_silence_does_not_begin_in_the_past() -> None:
    change = set_silence(replace(ACTIVE, id=""), None, new_id="new", now_ms=NOW_MS)
    assert (change.id, change.created, change.rows[0].starts_at_ms) == ("new", True, NOW_MS)


@pytest.mark.parametrize(
    ("known", "wanted", "kept"),
    [
        (ACTIVE, replace(ACTIVE, ends_at_ms=NOW_MS + 9 * HOUR_MS), True),
        (ACTIVE, replace(ACTIVE, comment="other"), True),
        (ACTIVE, replace(ACTIVE, matchers=parse_matchers("c=~d,a=b")), True),
        (ACTIVE, replace(ACTIVE, starts_at_ms=NOW_MS), False),
        (ACTIVE, replace(ACTIVE, matchers=parse_matchers("a=c")), False),
        (PENDING, replace(PENDING, starts_at_ms=NOW_MS + 1), True),
        (PENDING, replace(PENDING, starts_at_ms=NOW_MS - 1), False),
        (EXPIRED, ACTIVE, False),
    ],
)
def test_a_change_keeps_the_id_unless_it_rewrites_what_happened(known: Silence, wanted: Silence, kept: bool) -> None:
    change = set_silence(wanted, known, new_id="new", now_ms=NOW_MS)
    assert change.id == ("old" if kept else "new")
    states = {row.id: row.state(NOW_MS) for row in change.rows}
    if not kept and known is not EXPIRED:
        assert states["old"] is SilenceState.EXPIRED


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"matchers": ()}, 400, "at least one matcher"),
        ({"matchers": parse_matchers("a=~.*,b=")}, 400, "must not match the empty string"),
        ({"ends_at_ms": NOW_MS - HOUR_MS}, 400, "start time must be before end time"),
        ({"starts_at_ms": NOW_MS - 9, "ends_at_ms": NOW_MS - 8}, 400, "can't be in the past"),
        ({"matchers": parse_matchers("a=~" + "x" * 5000)}, 400, "longer than"),
        ({"id": "unknown"}, 404, "not found"),
    ],
)
def test_what_is_refused(change: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(CommandError, match=words) as caught:
        set_silence(replace(ACTIVE, **{"id": "", **change}), None, new_id="new", now_ms=NOW_MS)
    assert caught.value.status == status


def test_one_that_is_expired_is_over_at_once_and_stays_so() -> None:
    assert expire(ACTIVE, NOW_MS).ends_at_ms == NOW_MS
    assert expire(PENDING, NOW_MS).state(NOW_MS) is SilenceState.EXPIRED
    assert expire(EXPIRED, NOW_MS) == EXPIRED


def test_the_order_is_active_by_end_pending_by_start_expired_from_the_latest() -> None:
    named = [replace(s, id=str(n)) for n, s in enumerate([EXPIRED, PENDING, ACTIVE, replace(ACTIVE, ends_at_ms=NOW_MS + 1)])]
    assert [silence.id for silence in sort_silences(named, NOW_MS)] == ["3", "2", "1", "0"]


def test_only_active_silences_cover_and_say_which() -> None:
    others = [replace(ACTIVE, id=f"x{n}", matchers=parse_matchers(f"a=x{n}")) for n in range(50)]
    silencer = Silencer([ACTIVE, PENDING, EXPIRED, *others, replace(ACTIVE, id="any", matchers=parse_matchers("a=~b|c"))], NOW_MS)
    assert [cause.by for cause in silencer.suppression(alert_of(a="b", c="d"))] == ["any", "old"]
    assert silencer.suppression(alert_of(a="z")) == ()


@pytest.mark.parametrize(
    ("text", "broad"),
    [
        ('alertname=~".*"', True),
        ("alertname=~.+", True),
        ("severity!=none", True),
        ("a=b", False),
        ("a=~.+,b=c", False),
        ("a=~x.*", False),
    ],
)
def test_too_broad(text: str, broad: bool) -> None:
    assert too_broad(parse_matchers(text)) is broad


def test_a_silence_over_everything_is_previewed_with_a_warning_and_audited(story: Any) -> None:
    story.fire(service="shop")
    story.fire(service="db")
    story.at(30).resolve(service="db")
    story.at(40)
    shown = story.db.read_now(lambda c: preview_silence(c, parse_matchers("service=shop"), story.clock.now_ms()))
    assert ([k.alert.labels["service"] for k in shown.now], shown.firing) == (["shop"], 1)
    assert (shown.covers_everything, shown.warning) == (False, "")
    shown = story.db.read_now(lambda c: preview_silence(c, parse_matchers("alertname=~.+"), story.clock.now_ms()))
    assert (len(shown.now), shown.covers_everything) == (1, True)
    assert "nobody is told of anything" in shown.warning
    silence_id = story.silence("alertname=~.+", until=600)
    story.unsilence(silence_id)
    logged = story.db.read_now(lambda c: events.read(c, subject=f"silence:{silence_id}"))
    assert [(event.verb, event.data.get("covers_everything")) for event in logged] == [
        ("silenced", True),
        ("silence_expired", None),
    ]
    assert "covers every alert" in logged[0].text
    assert [row["state"] for row in story.db.read_now(lambda c: silence_rows(c, now_ms=story.clock.now_ms()))] == ["expired"]
