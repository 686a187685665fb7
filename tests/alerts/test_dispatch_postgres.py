"""The same rows on PostgreSQL: one story that touches every statement of the dispatcher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa
from tests.alerts.conftest import Story, routing
from tests.collect.realservers import postgres_server

from tocsin.alerts.view import Filter, View
from tocsin.formats.matchers import parse_matchers
from tocsin.model.recurrence import Occurrences
from tocsin.model.route import InhibitRule, MaintenanceWindow
from tocsin.state.schema import metadata
from tocsin.state.sql import Database

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as port:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"


def test_a_story_on_postgresql(server: str) -> None:
    class PostgresStory(Story):
        def _open(self) -> Database:
            db = Database(server, inline=True)
            metadata.create_all(db.engine)
            return db

    window = MaintenanceWindow("w", parse_matchers("service=late"), Occurrences(None, datetime(2026, 1, 1), 60_000))
    rule = InhibitRule(parse_matchers("severity=critical"), parse_matchers("severity=warning"), ("service",))
    own = replace(routing(inhibit_rules=(rule,)), maintenance=(window,), depends_on={"shop": ("db",)})
    story = PostgresStory.on(own)
    with story.db.engine.begin() as connection:
        assert connection.execute(sa.text("select 1")).scalar() == 1
    story.fire(severity="critical", service="x")
    story.fire(severity="warning", service="x")
    story.fire(service="db")
    story.fire(service="shop")
    story.fire(service="late")
    silence = story.silence("service=db", until=5000)
    story.at(30)
    story.unsilence(silence)
    story.at(70)
    story.restart()
    for labels in ({"severity": "critical", "service": "x"}, {"service": "db"}):
        story.resolve(**labels)
    story.at(140)
    shown = story.db.read_now(lambda c: View(c, own, story.clock.now_ms()).groups(Filter()))
    assert [len(group.alerts) for group in shown] == [3]
    for labels in ({"severity": "warning", "service": "x"}, {"service": "shop"}, {"service": "late"}):
        story.resolve(**labels)
    story.at(300)
    reasons = [reason for _, reason, _ in story.told()]
    assert reasons[0] == "FIRST"
    assert reasons[-1] == "ALL_RESOLVED"
    assert story.timeline(service="late")[:3] == ["fired", "suppressed", "not_paged"]
    story.db.close()
