"""Who follows a status page: asked by mail, told of every update once, forgotten on leaving, and never shown."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from tocsin.errors import CommandError
from tocsin.incidents import publish, subscribers
from tocsin.notify.links import verify_visitor, visitor_urls
from tocsin.state.schema import events, metadata, notifications, status_subscribers
from tocsin.state.sql import Database, sqlite_url

NOW = 1_700_000_000_000
HOUR = 3_600_000
PAGE = subscribers.Page("shop", "The Shop")


class Seeded:
    def __init__(self) -> None:
        self._random = random.Random(1)

    def random(self) -> float:
        return self._random.random()

    def randbytes(self, n: int) -> bytes:
        return self._random.randbytes(n)


@pytest.fixture
def db(tmp_path):
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    yield db
    db.close()


def ask(db, address="ana@shop.example", at_ms=NOW):
    db.write_now(lambda tx: subscribers.subscribe(tx, PAGE, address, random=Seeded(), now_ms=at_ms))


def outbox(db):
    return db.read_now(lambda tx: tx.execute(sa.select(notifications).order_by(notifications.c.id)).all())


def people(db):
    return db.read_now(lambda tx: tx.execute(sa.select(status_subscribers)).all())


def tell(db, text="We look.", at_ms=NOW):
    def work(tx):
        update, _ = publish.publish(
            tx,
            incident=0,
            page="shop",
            state="investigating",
            title="Orders fail",
            text=text,
            published_by="user:ana",
            now_ms=at_ms,
        )
        return subscribers.announce(tx, update, PAGE, random=Seeded(), now_ms=at_ms)

    return db.write_now(work)


def test_only_who_confirmed_is_told_and_each_update_once(db):
    ask(db)
    ask(db, "ben@shop.example")
    assert tell(db) == 0, "nobody has confirmed"
    [ana, _] = people(db)
    assert db.write_now(lambda tx: subscribers.confirm(tx, "shop", ana.id, NOW))
    assert not db.write_now(lambda tx: subscribers.confirm(tx, "other", ana.id, NOW)), "a link of another page"
    assert tell(db, "A disk.") == 1
    assert tell(db, "A disk.") == 0, "the same text twice is one update"
    last = outbox(db)[-1]
    assert (last.kind, last.payload["title"], last.payload["lines"]) == ("published", "Investigating: Orders fail", ["A disk."])


def test_no_log_and_no_event_shows_an_address(db):
    ask(db)
    db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    tell(db)
    for row in outbox(db):
        shown = [row.address, row.recipient, row.reason, row.dedup_key, row.order_key, str(row.payload)]
        assert not any("ana" in text or "@" in text for text in shown)
    told = db.read_now(lambda tx: tx.execute(sa.select(events.c.text, events.c.data)).all())
    assert told and not any("@" in str(row) for row in told)


def test_who_leaves_is_forgotten_also_by_what_waits(db):
    ask(db)
    db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW))
    tell(db)
    for _ in range(2):
        db.write_now(lambda tx: subscribers.leave(tx, "shop", 1, NOW))
    assert people(db) == []
    assert {(row.state, row.settings_ref) for row in outbox(db)} == {("cancelled", "visitor:")}
    assert not db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, NOW)), "an old link brings nobody back"


def test_asking_again_and_again_mails_twice_an_hour_and_five_times_a_day(db):
    for minute in range(10):
        ask(db, at_ms=NOW + minute * 60_000)
    assert len(outbox(db)) == 2
    for hour in range(1, 12):
        ask(db, "ANA@Shop.Example".replace("ANA", "ana"), at_ms=NOW + hour * 2 * HOUR)
    assert len(outbox(db)) == 5 and len(people(db)) == 1


def test_a_crowd_of_addresses_is_stopped_and_the_unconfirmed_are_forgotten_after_a_day(db):
    for number in range(230):
        ask(db, f"someone{number}@shop.example")
    assert len(outbox(db)) == 200
    ask(db, at_ms=NOW + 25 * HOUR)
    assert [row.address for row in people(db)] == ["ana@shop.example"]


@pytest.mark.parametrize(
    "wrong",
    ["", "ana", "ana@", "@shop.example", "ana@shop", "a b@shop.example", "ana@shop.example\r\nBcc: x@y.example",
     "a" * 65 + "@b.ex", "ana@b.ex, ben@b.ex", "<ana@b.ex>", "ana@" + "b" * 260 + ".ex"],
)  # fmt: skip
def test_what_is_no_address_is_refused(db, wrong):
    with pytest.raises(CommandError, match="mail address"):
        ask(db, wrong)
    assert outbox(db) == []


def test_links_are_for_one_page_one_purpose_and_one_person():
    visitor = {"page": "shop", "page_title": "The Shop", "subscriber": 7, "confirm": True}
    urls = visitor_urls("https://status.example/", b"key", visitor, NOW)
    confirm, leave = (urls[name].rsplit("/", 1)[1] for name in ("confirm_url", "leave_url"))
    assert urls["leave_url"].startswith("https://status.example/status/shop/leave/7.")
    assert verify_visitor(b"key", "confirm", "shop", confirm, NOW) == 7
    assert verify_visitor(b"key", "leave", "shop", leave, NOW + 10**12) == 7, "leaving works for ever"
    for purpose, page, token, at_ms in (
        ("confirm", "shop", leave, NOW),
        ("leave", "shop", confirm, NOW),
        ("leave", "other", leave, NOW),
        ("confirm", "shop", confirm, NOW + 25 * HOUR),
        ("leave", "shop", leave.replace("7.", "8.", 1), NOW),
        ("leave", "shop", "x.y.z\u00e9", NOW),
        ("leave", "shop", "", NOW),
    ):
        assert verify_visitor(b"key", purpose, page, token, at_ms) is None
    assert verify_visitor(b"", "leave", "shop", leave, NOW) is None
