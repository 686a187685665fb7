"""Public status pages: what responders publish, planned work, the Atom feed, the static copy."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.errors import CommandError
from tocsin.incidents import publish
from tocsin.model.check import CheckState
from tocsin.state.schema import check_changes, check_states, status_updates
from tocsin.web.parts import WebSettings
from tocsin.web.statuspage import export
from tocsin.web.statuspage_feed import atom
from tocsin.web.statuspage_html import BESIDE, headline, render, served_at
from tocsin.web.statuspage_view import Component, planned_of, read_view

DAY = 86_400_000
HOUR = 3_600_000
ATOM = "{http://www.w3.org/2005/Atom}"
WORK = {
    "text": "New machines.",
    "components": ["Website"],
    "times": [[START_MS - HOUR, START_MS + HOUR], [START_MS + DAY, START_MS + DAY + HOUR], [START_MS - DAY, START_MS - HOUR]],
}
PAGE = {"title": "Shop", "components": [{"name": "Website", "checks": ["shop-internal-id"]}], "maintenance": [WORK]}


@pytest.fixture
def settings():
    return WebSettings(status_pages={"shop": PAGE, "other": {**PAGE, "maintenance": []}}, external_url="https://status.example")


def tell(db, state="investigating", text="We look.", *, title="Orders fail", incident=7, page="shop", at_ms=START_MS):
    return db.write_now(
        lambda tx: publish.publish(
            tx, incident=incident, page=page, state=state, title=title, text=text, published_by="user:ana", now_ms=at_ms
        )[0]
    )


# -- publishing --------------------------------------------------------------------------------------------------------


def test_updates_of_an_incident_are_one_story_that_keeps_its_title_and_ends_when_resolved(house):
    tell(house.db, at_ms=START_MS - 2 * HOUR)
    tell(house.db, "identified", "A disk.", title="", at_ms=START_MS - HOUR)
    tell(house.db, incident=8, title="Slow mail")
    first, second = house.db.read_now(lambda tx: publish.stories(tx, "shop", START_MS))
    assert (first.title, second.title) == ("Slow mail", "Orders fail")
    assert [update.state for update in second.updates] == ["identified", "investigating"] and second.open
    tell(house.db, "resolved", "All is well.", title="")
    ended = house.db.read_now(lambda tx: publish.stories(tx, "shop", START_MS))[-1]
    assert (ended.title, ended.open) == ("Orders fail", False)
    assert len(house.db.read_now(lambda tx: publish.stories(tx, "shop", START_MS + 15 * DAY))) == 1, "only the open one is left"


def test_the_same_update_again_is_one_and_a_withdrawn_one_is_gone(house):
    update = tell(house.db)
    assert tell(house.db).id == update.id
    house.db.write_now(lambda tx: publish.withdraw(tx, incident=7, update=update.id, now_ms=START_MS))
    house.db.write_now(lambda tx: publish.withdraw(tx, incident=7, update=update.id, now_ms=START_MS + 1))
    assert house.db.read_now(lambda tx: publish.stories(tx, "shop", START_MS)) == []
    assert house.db.read_now(lambda tx: tx.execute(sa.select(status_updates.c.withdrawn_ms)).scalar()) == START_MS
    with pytest.raises(CommandError, match="no public update"):
        house.db.write_now(lambda tx: publish.withdraw(tx, incident=8, update=update.id, now_ms=START_MS))


@pytest.mark.parametrize(
    "wrong", [{"state": "gone"}, {"title": ""}, {"title": "x" * 201}, {"text": " \n"}, {"text": "x" * 5001}], ids=str
)
def test_what_cannot_be_published_is_refused(house, wrong):
    with pytest.raises(CommandError, match="expected"):
        tell(house.db, **wrong)


async def test_publishing_is_for_responders(house):
    body = {"page": "shop", "state": "identified", "title": "Orders fail", "text": "A disk."}
    house.core.answers["incident.publish"] = lambda args, actor: {"number": args["number"]}
    path = "/api/tocsin/v1/incidents/7/publish"
    assert (await (await house.as_role("viewer")).post(path, json=body)).status == 403
    responder = await house.as_role("responder")
    assert (await responder.post(path, json=body)).status == 200
    assert house.core.commanded("incident.publish") == [{"number": 7, **body}]
    assert (await responder.post(path, json={"text": "no state"})).status == 400


# -- the page ----------------------------------------------------------------------------------------------------------


async def test_the_page_tells_open_and_past_incidents_and_planned_work(house):
    tell(house.db, "identified", "A disk.\n\nWe replace <it>.")
    tell(house.db, "resolved", "Over.", title="Slow mail", incident=8, at_ms=START_MS - 3 * DAY)
    tell(house.db, text="Of another page.", page="other", incident=9)
    text = (await house.client.get("/status/shop")).text
    for part in (
        "<h2>Now</h2>",
        "Orders fail",
        '<p dir="auto">We replace &lt;it&gt;.</p>',
        "In progress: Website",
        "New machines.",
    ):
        assert part in text
    assert text.index("Orders fail") < text.index("<h2>Components") < text.index("<h2>Planned maint") < text.index("Slow mail")
    assert "Of another page." not in text and "user:ana" not in text
    assert text.count('datetime="2023-11-15T22:13:20Z"') == 1, "the occurrence of tomorrow"
    found = (await house.client.get("/status/shop/status.json")).json()
    assert [story["state"] for story in found["incidents"]] == ["identified", "resolved"]
    assert [row["start_ms"] for row in found["maintenance"]] == [START_MS - HOUR, START_MS + DAY]


async def test_a_page_of_thirty_components_with_a_story_is_small(house):
    house.parts.settings = dataclasses.replace(
        house.parts.settings,
        status_pages={"shop": {"title": "Shop", "components": [{"name": f"Part {n}", "checks": [f"c{n}"]} for n in range(30)]}},
    )

    def write(tx):
        for n in range(30):
            for ago in range(80, 0, -1):
                after = "down" if (ago * 7 + n) % 11 == 0 else "up"
                tx.execute(sa.insert(check_changes).values(check_id=f"c{n}", t_ms=START_MS - ago * DAY, before="", after=after))

    house.db.write_now(write)
    tell(house.db)
    answer = await house.client.get("/status/shop", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and len(answer.body) <= 14 * 1024


def test_a_headline_is_green_only_when_all_is_known_and_nothing_is_told(house):
    up, unknown = Component("a", CheckState.UP, 1.0, ""), Component("b", CheckState.UNKNOWN, None, "")
    assert headline([up], stale=False) == "All systems are operational."
    assert headline([up, unknown], stale=False) == "Not known at the moment: b."
    tell(house.db)
    assert headline([up], stale=False, stories=house.db.read_now(lambda tx: publish.stories(tx, "shop", START_MS))) != headline(
        [up], stale=False
    )


def test_planned_work_that_is_over_is_left_out():
    assert [one.start_ms for one in planned_of([WORK], START_MS + HOUR)] == [START_MS + DAY]


# -- the feed ----------------------------------------------------------------------------------------------------------

HOSTILE = "</title><script>alert(1)</script>\x00\x1b[31m ]]> \ud800 \ufffe &amp; \U0001f525"


async def test_the_feed_is_atom_with_ids_that_stay_and_an_etag(house):
    tell(house.db, at_ms=START_MS - HOUR)
    before = await house.client.get("/status/shop/feed.atom")
    assert before.headers["content-type"].startswith("application/atom+xml")
    unchanged = await house.client.get("/status/shop/feed.atom", headers={"if-none-match": before.headers["etag"]})
    assert unchanged.status == 304
    house.clock.t_ms += HOUR
    tell(house.db, "resolved", "Over.", title="")
    after = await house.client.get("/status/shop/feed.atom", headers={"if-none-match": before.headers["etag"]})
    assert after.status == 200
    old, new = ElementTree.fromstring(before.body), ElementTree.fromstring(after.body)
    entries = new.findall(ATOM + "entry")
    assert [entry.findtext(ATOM + "title") for entry in entries] == ["Resolved: Orders fail", "Investigating: Orders fail"]
    assert entries[1].findtext(ATOM + "id") == old.find(ATOM + "entry").findtext(ATOM + "id") != entries[0].findtext(ATOM + "id")
    assert new.findtext(ATOM + "id") == old.findtext(ATOM + "id")
    links = {link.get("rel"): link.get("href") for link in new.findall(ATOM + "link")}
    assert links == {"alternate": "https://status.example/status/shop", "self": "https://status.example/status/shop/feed.atom"}
    assert 'href="/status/shop/feed.atom"' in (await house.client.get("/status/shop")).text
    assert (await house.client.get("/status/none/feed.atom")).status == 404


def test_hostile_texts_stay_texts_in_the_feed(house):
    view = house.db.read_now(lambda tx: read_view(tx, "shop", {"title": HOSTILE}, START_MS, stale=False))
    update = publish.Update(1, "identified", HOSTILE, HOSTILE, START_MS)
    feed = ElementTree.fromstring(atom(dataclasses.replace(view, stories=(publish.Story((update,)),)), page_url="x").encode())
    content = feed.find(ATOM + "entry").find(ATOM + "content")
    assert content.get("type") == "text" and content.text.startswith("</title><script>alert(1)</script>\ufffd\ufffd[31m")


def test_an_empty_feed_is_valid(house):
    view = house.db.read_now(lambda tx: read_view(tx, "shop", PAGE, START_MS, stale=False))
    assert ElementTree.fromstring(atom(view, page_url="index.html")).findtext(ATOM + "updated") == "1970-01-01T00:00:00Z"


# -- the static copy ---------------------------------------------------------------------------------------------------


def test_a_static_copy_is_what_is_served_with_links_within_the_folder(house, tmp_path):
    def write(tx):
        row = {"check_id": "shop-internal-id", "location": "local", "state": "down", "since_ms": 1, "message": "10.0.0.7"}
        tx.execute(sa.insert(check_states).values(**row, last_result={}))

    house.db.write_now(write)
    tell(house.db)
    view = house.db.read_now(lambda tx: read_view(tx, "shop", PAGE, START_MS, stale=False))
    names = {file.name for file in export(view, tmp_path / "new" / "folder")}
    folder = tmp_path / "new" / "folder"
    assert names == {"index.html", "pages.css", "feed.atom", "status.json"} == {file.name for file in folder.iterdir()}
    copy, served = (folder / "index.html").read_text(), render(view, served_at("shop", "/mon"))
    assert copy == served.replace("/mon/static/", "").replace("/mon/status/shop/", "")
    assert not re.search(r'(href|src)="(?!pages\.css|feed\.atom|status\.json|data:image/svg\+xml,[^"<>]*")', copy)
    assert "default-src &#x27;none&#x27;" in copy and "10.0.0.7" not in copy and "internal" not in copy
    ElementTree.parse(folder / "feed.atom")
    export(view, folder)
    assert (folder / "index.html").read_text() == render(view, BESIDE)
