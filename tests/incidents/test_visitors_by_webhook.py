"""Who follows a status page by a webhook: which addresses are taken, what is told of an update, and when one is given up."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from tocsin.errors import CommandError
from tocsin.incidents import publish, subscribers, webhooks
from tocsin.model.notification import Notification, NotificationKind
from tocsin.notify import visitorhook
from tocsin.notify.render import message
from tocsin.state.schema import attempts, events, metadata, notifications, status_subscribers
from tocsin.state.sql import Database, sqlite_url

NOW = 1_700_000_000_000
MINUTE, HOUR = 60_000, 3_600_000
PAGE = subscribers.Page("shop", "The Shop")
HOOK = "https://hooks.example.com/a?key=1"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(made.engine)
    yield made
    made.close()


def ask(db: Database, url: str = HOOK, *, at_ms: int = NOW, private: bool = False) -> None:
    chance = random.Random(at_ms)
    db.write_now(lambda tx: subscribers.subscribe_hook(tx, PAGE, url, private=private, random=chance, now_ms=at_ms))


def rows(db: Database) -> list[Any]:
    return db.read_now(lambda tx: list(tx.execute(sa.select(notifications).order_by(notifications.c.id)).all()))


def tell(db: Database, state: str = "investigating", text: str = "We look.", *, at_ms: int = NOW, **more: Any) -> int:
    def work(tx: Any) -> int:
        more.setdefault("incident", 17)
        update, _ = publish.publish(
            tx, page="shop", state=state, title="Orders fail", text=text, published_by="", now_ms=at_ms, **more
        )
        return subscribers.announce(tx, update, PAGE, random=random.Random(at_ms), now_ms=at_ms)

    return db.write_now(work)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" HTTPS://Hooks.Example.COM/Path?Q=1#part ", "https://hooks.example.com/Path?Q=1"),
        ("http://hooks.example.com:8080", "http://hooks.example.com:8080/"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700::1111]/x", "https://[2606:4700::1111]/x"),
        ("https://internal/x", "https://internal/x"),  # a name is judged when it is connected to: the form tells nothing of ours
    ],
)
def test_an_address_is_kept_in_one_form(given: str, kept: str) -> None:
    assert webhooks.address(given, private=False) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        "", "hooks.example.com", "ftp://hooks.example.com/", "javascript:alert(1)", "https://", "https:///x", "https://a b/",
        "https://user:pw@hooks.example.com/", "https://hooks.example.com:99999/", "https://[::1/", "https://-x/", "https://ho%20st/",
        "https://\u2460\u2461\u2466.0.0.1/", "https://hooks.example.com/\r\nX: y", "https://hooks.example.com/" + "a" * 240,
        "http://127.0.0.1/", "http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]/", "http://[::ffff:10.0.0.1]/",
        "http://10.1.2.3/", "http://192.168.0.1/", "http://172.16.0.1/", "http://169.254.169.254/latest", "http://100.64.0.1/",
        "http://0.0.0.0/", "http://[fe80::1]/", "http://[fd00::1]/", "http://168.63.129.16/", "http://224.0.0.1/",
    ],
)  # fmt: skip
def test_what_cannot_be_posted_to_is_refused_at_once(db: Database, wrong: str) -> None:
    with pytest.raises(CommandError) as caught:
        ask(db, wrong)
    assert (caught.value.status, caught.value.code) == (422, "bad_address") and rows(db) == []


def test_a_page_for_ones_own_network_takes_private_addresses(db: Database) -> None:
    ask(db, "http://10.1.2.3:9000/hook", private=True)
    assert [row.settings_ref for row in rows(db)] == ["visitor:http://10.1.2.3:9000/hook"]


def test_nothing_but_the_question_is_sent_before_it_was_answered(db: Database) -> None:
    ask(db)
    assert tell(db) == 0, "not confirmed"
    [question] = rows(db)
    assert (question.channel, question.address, question.kind) == ("webhook", "", "published")
    assert "hook" not in question.payload and HOOK not in str(question.payload)
    assert db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    assert tell(db, "identified", "A cable.", at_ms=NOW + 1) == 1
    assert db.read_now(lambda tx: subscribers.kind_of(tx, "shop", 1)) == subscribers.WEBHOOK
    said = db.read_now(lambda tx: tx.execute(sa.select(events.c.text).order_by(events.c.id)).scalars().all())
    assert said == ["a visitor asked for webhooks of this page", "a visitor follows this page by webhook"]


def test_an_update_is_told_in_the_words_of_statuspage(db: Database) -> None:
    ask(db)
    db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    tell(db, components={"Website": "degraded", "Payments": "operational"})
    tell(db, "identified", "A cable.", at_ms=NOW + MINUTE, components={"Website": "down"})
    tell(db, "resolved", "Over.", at_ms=NOW + 2 * MINUTE, components={})
    first, second, third = (row.payload["hook"] for row in rows(db)[1:])
    assert first["page"] == {"status_indicator": "minor", "status_description": "Minor Service Outage"}
    assert second["page"]["status_indicator"] == "major" and third["page"]["status_indicator"] == "none"
    incident = second["incident"]
    assert (incident["id"], incident["name"], incident["status"], incident["impact"]) == (
        "1",
        "Orders fail",
        "identified",
        "major",
    )
    assert incident["components"] == [
        {"name": "Website", "status": "major_outage"}, {"name": "Payments", "status": "operational"},
    ]  # fmt: skip
    assert [(one["status"], one["body"]) for one in incident["incident_updates"]] == [
        ("identified", "A cable."), ("investigating", "We look."),
    ]  # fmt: skip
    assert incident["incident_updates"][0]["affected_components"] == [{"name": "Website", "new_status": "major_outage"}]
    assert incident["created_at"] == "2023-11-14T22:13:20.000Z" and incident["resolved_at"] is None
    assert third["incident"]["resolved_at"] == "2023-11-14T22:15:20.000Z"
    assert "17" not in str(third), "the number of our incident is nobody's business"


def test_what_was_taken_back_is_not_told_and_the_story_keeps_its_id(db: Database) -> None:
    ask(db)
    db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    tell(db, text="Wrong.")
    db.write_now(lambda tx: publish.withdraw(tx, incident=17, update=1, now_ms=NOW))
    tell(db, "identified", "Right.", at_ms=NOW + 1)
    incident = rows(db)[-1].payload["hook"]["incident"]
    assert incident["id"] == "1" and [one["body"] for one in incident["incident_updates"]] == ["Right."]


def test_nobody_can_make_us_shout_at_one_host(db: Database) -> None:
    for number in range(webhooks.MOST_OF_HOST + 5):
        ask(db, f"https://victim.example/{number}", at_ms=NOW + number)
    assert len(rows(db)) == webhooks.MOST_OF_HOST
    ask(db, "https://other.example/", at_ms=NOW + MINUTE)
    assert len(rows(db)) == webhooks.MOST_OF_HOST + 1
    for _ in range(5):
        ask(db, "https://other.example/", at_ms=NOW + MINUTE + 1)
    assert len(rows(db)) == webhooks.MOST_OF_HOST + 2, "one address is written to twice an hour"
    ask(db, "https://victim.example/late", at_ms=NOW + HOUR + MINUTE)
    assert len(rows(db)) == webhooks.MOST_OF_HOST + 3


def answered(db: Database, *statuses: int) -> None:
    """What came of the newest notices, and what the deliverer then says."""

    def work(tx: Any) -> None:
        waiting = tx.execute(sa.select(notifications).where(notifications.c.attempts == 0).order_by(notifications.c.id)).all()
        for row, status in zip(waiting, statuses, strict=True):
            values = {"notification": row.id, "n": 1, "started_ms": NOW, "ended_ms": NOW, "outcome": "x", "status": status}
            tx.execute(sa.insert(attempts).values(**values, reason="", provider_id=""))
            tx.execute(sa.update(notifications).where(notifications.c.id == row.id).values(attempts=1, state="failed"))
            if status in webhooks.GONE:
                note: Any = row
                subscribers.gone(tx, note, NOW)

    db.write_now(work)


def test_a_webhook_that_is_gone_three_times_in_a_row_is_forgotten_with_the_reason(db: Database) -> None:
    ask(db)
    db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    for number in range(3):
        tell(db, text=f"{number}", at_ms=NOW + number)
    answered(db, 200, 404, 410, 200)
    tell(db, text="again", at_ms=NOW + 10)
    tell(db, text="and again", at_ms=NOW + 11)
    answered(db, 404, 404)
    assert len(db.read_now(lambda tx: tx.execute(sa.select(status_subscribers)).all())) == 1, "twice in a row is not enough"
    tell(db, text="the last", at_ms=NOW + 12)
    answered(db, 410)
    assert db.read_now(lambda tx: tx.execute(sa.select(status_subscribers)).all()) == []
    last = db.read_now(lambda tx: tx.execute(sa.select(events).order_by(events.c.id.desc())).first())
    assert last is not None and last.verb == "unsubscribed"
    assert last.text == "a webhook is removed: its server answered HTTP 410, 3 notices in a row"
    assert {row.settings_ref for row in rows(db)} == {"visitor:"}, "its address is nowhere any more"


def test_the_bodies_in_the_how_to_have_the_fields_that_are_posted(db: Database) -> None:
    ask(db)
    db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    tell(db, "identified", "A cable.", components={"Website": "down"})
    question, update = rows(db)
    links = {"page_title": "The Shop", "page_url": "https://s.example/shop", "leave_url": "https://s.example/bye", "secret": "s"}
    posted = []
    for row, asked in ((question, {"confirm_url": "https://s.example/confirm"}), (update, {})):
        note = Notification(
            row.id, 0, NotificationKind.PUBLISHED, "webhook", "", row.recipient, 0, 0, 1, "", "k", row.settings_ref, row.payload
        )
        posted.append(visitorhook.compose(message(note, visitor={"page": "shop", **links, **asked}), NOW))
    page = (Path(__file__).parents[2] / "docs/how-to/status-page.md").read_text()
    shown = [orjson.loads(text) for text in re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    assert [shape(one) for one in shown] == [shape(one) for one in posted]


def shape(value: Any) -> Any:
    """The names in it, without what stands under them."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else None
