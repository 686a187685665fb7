"""Silences cannot hide the monitor's own trouble, cannot hide themselves, and cannot be made to cost much."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest
from tests.alerts.conftest import START_MS, Story

from tocsin.alerts.preview import preview_silence
from tocsin.alerts.silence import too_broad
from tocsin.errors import CommandError
from tocsin.formats.matchers import parse_matchers
from tocsin.model.alert import Alert
from tocsin.model.event import SYSTEM
from tocsin.model.labels import Labels
from tocsin.state import events, intake


def put(story: Story, name: str, *, label: bool = False) -> None:
    labels = {"alertname": name, **({"silenceable": "false"} if label else {})}
    annotations = {} if label else {"silenceable": "false"}
    given = Alert(Labels(labels), annotations, story.clock.now_ms(), source="rule:r")
    story.db.write_now(lambda tx: intake.put(tx, [given], now_ms=story.clock.now_ms()))
    story.at((story.clock.now_ms() - START_MS) / 1000 + 0.001)


@pytest.mark.parametrize("label", [True, False])
def test_an_alert_that_cannot_be_silenced_is_told_under_a_silence_of_everything(story: Story, label: bool) -> None:
    story.silence('alertname=~".*",alertname!=""', until=5000)
    story.fire()
    put(story, "TocsinBlind", label=label)
    story.at(100)
    told = {alert.labels["alertname"] for _, page in story.pages for alert in page.firing}
    assert told == {"TocsinBlind", "SilenceCoversEverything"}
    shown = story.db.read_now(lambda c: preview_silence(c, parse_matchers('alertname=~".+"'), story.clock.now_ms()))
    assert (len(shown.now), shown.spared) == (1, 2)


def test_whoever_is_on_call_hears_of_a_silence_over_everything_and_of_its_end(story: Story) -> None:
    made = story.silence('alertname=~".+"', until=5000)
    story.at(100)
    (first,) = [page for _, page in story.pages]
    (notice,) = first.firing
    assert notice.labels["silence"] == made and notice.annotations["summary"] == "ana silenced everything: because"
    assert "nobody is told of anything" in notice.annotations["description"]
    story.unsilence(made)
    story.at(300)
    assert [reason for _, reason, _ in story.told()] == ["FIRST", "ALL_RESOLVED"]
    logged = story.db.read_now(lambda c: events.read(c, subject=f"silence:{made}"))
    assert logged[0].data["covers_everything"] is True and "nobody is told of anything" in logged[0].text


def test_the_notice_ends_when_the_silence_does_or_covers_less(story: Story) -> None:
    story.silence('alertname=~".+"', until=200)
    story.at(400)
    assert [reason for _, reason, _ in story.told()] == ["FIRST", "ALL_RESOLVED"]
    made = story.silence('alertname=~".+"', until=5000)
    story.at(500)
    story.silence("alertname=A", until=5000, id=made)
    story.at(700)
    assert [reason for _, reason, _ in story.told()][2:] == ["FIRST", "ALL_RESOLVED"]


def test_a_silence_over_all_that_fires_now_is_told_too(story: Story) -> None:
    story.fire(service="a")
    story.fire(service="b")
    story.silence("alertname=A", until=5000)
    story.at(100)
    assert [alert.labels["alertname"] for _, page in story.pages for alert in page.firing] == ["SilenceCoversEverything"]


@pytest.mark.parametrize("text", ['a=~"[\\\\s\\\\S]*"', 'a=~".{0,}"', 'a=~"(?s).*"', 'a=~"(.|x)*"', 'a=~"[^\\\\x00]+"'])
def test_everything_is_recognised_however_it_is_written(text: str) -> None:
    assert too_broad(parse_matchers(text))


BOMBS = ["(a*)*" * 50, "((a{0,100}){0,100}){0,100}", "(x+x+)+y", "a{1000}" * 100, "\\pN{1000}", "(?:" * 2000]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_regular_expression_made_to_hang_us_is_refused_or_costs_little(story: Story, bomb: str) -> None:
    args: dict[str, Any] = {
        "matchers": [{"name": "alertname", "value": bomb, "isRegex": True, "isEqual": True}],
        "starts_at_ms": story.clock.now_ms(),
        "ends_at_ms": story.clock.now_ms() + 1000,
        "comment": "c",
    }
    story.fire(instance="a" * 30_000)
    began = time.process_time()
    with contextlib.suppress(CommandError):
        asyncio.run(story.dispatcher.command_set_silence(args, SYSTEM))
    asyncio.run(story.dispatcher.step())
    # Not a benchmark: a backtracking engine needs longer than the age of the universe for some of these.
    assert time.process_time() - began < 20


def test_an_alert_that_ended_before_a_restart_is_told_when_it_fires_again(story: Story) -> None:
    story.fire()
    story.at(20)
    story.at(22).resolve()
    story.at(23)
    story.restart()
    story.fire()
    story.at(200)
    assert [reason for _, reason, _ in story.told()] == ["FIRST", "NEW_ALERTS"]
