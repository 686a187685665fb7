"""Short links to pages of ours and to nothing else; links of wallboards that become a cookie."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.state.schema import events, short_links
from tocsin.web import shortlinks
from tocsin.web.parts import WebSettings
from tocsin.web.shortlinks import is_page
from tocsin.web.static import LINKED

API = "/api/tocsin/v1"
LONG = "/explore?q=" + "x" * 8000 + "&from=2026-11-22T10:00:00Z#panel-2"


async def test_a_long_address_becomes_a_short_one_that_leads_back_to_the_whole(house: Any) -> None:
    viewer = await house.as_role("viewer")
    made = (await viewer.post(f"{API}/links", json={"url": LONG})).json()
    assert len(made["id"]) == 13 and made["url"].endswith(f"/s/{made['id']}") and made["id"].isalnum()
    assert (await viewer.post(f"{API}/links", json={"url": LONG})).json() == made, "the same page has the same"
    other = await house.as_role("admin")
    moved = await other.get(f"/s/{made['id']}")
    assert (moved.status, moved.headers["location"]) == (303, LONG)
    stranger = await house.client.get(f"/s/{made['id']}")
    assert (stranger.status, stranger.headers["location"]) == (303, f"/login?next=/s/{made['id']}")
    gone = await other.get("/s/aaaaaaaaaaaaa")
    assert gone.status == 404 and "no such short link" in gone.text
    told = await house.db.read(lambda tx: tx.execute(sa.select(events.c.verb, events.c.actor, events.c.subject)).all())
    assert [tuple(row) for row in told if row.verb == "linked"] == [("linked", "token:viewer", f"link:{made['id']}")]


@pytest.mark.parametrize("settings", [WebSettings(external_url="https://ops.example/tocsin", route_prefix="/tocsin")])
async def test_whole_addresses_of_ours_are_taken_and_the_prefix_comes_back(house: Any, settings: WebSettings) -> None:
    house.client.host = "ops.example"
    viewer = await house.as_role("viewer")
    made = (await viewer.post(f"/tocsin{API}/links", json={"url": "https://ops.example/tocsin/i/7?tz=UTC"})).json()
    assert made["url"] == f"https://ops.example/tocsin/s/{made['id']}"
    assert (await viewer.get(f"/tocsin/s/{made['id']}")).headers["location"] == "/tocsin/i/7?tz=UTC"


@pytest.mark.parametrize(
    "url",
    ["", "explore", "//evil.example", "/\\evil.example", "https://evil.example/", "https://evil.example/explore",
     "javascript:alert(1)", "/signin?t=x", "/logout", "/login?next=//evil.example", "/s/aaaaaaaaaaaaa",
     "/api/tocsin/v1/session", "/wallboard?t=x", "/explore/../signin?t=x", "/explore/%2e%2e/signin?t=x",
     "/explore/%2E./signin", "/explore\\..\\signin", "/explore\r\nset-cookie: a=b", "/ explore", "/explore x",
     "/" + "x" * 20_000],
)  # fmt: skip
async def test_nothing_but_a_page_of_ours_can_be_behind_one(house: Any, url: str) -> None:
    viewer = await house.as_role("viewer")
    answer = await viewer.post(f"{API}/links", json={"url": url})
    assert answer.status == 400 and answer.json()["detail"].startswith("url: "), answer.text


async def test_an_address_that_was_stored_before_the_rules_leads_nowhere_either(house: Any) -> None:
    row = {"id": "old", "url": "/signin?t=x", "created_by": "user:ana", "created_ms": 1}
    await house.db.write(lambda tx: tx.execute(sa.insert(short_links).values(**row)))
    assert (await (await house.as_role("viewer")).get("/s/old")).status == 404


async def test_one_person_makes_so_many_a_minute(house: Any) -> None:
    viewer = await house.as_role("viewer")
    codes = [
        (await viewer.post(f"{API}/links", json={"url": f"/explore?q={n}"})).status for n in range(shortlinks.PER_MINUTE + 1)
    ]
    assert codes == [201] * shortlinks.PER_MINUTE + [429]
    house.clock.t_ms += 61_000
    assert (await viewer.post(f"{API}/links", json={"url": "/explore?q=later"})).status == 201


async def test_links_that_nobody_copied_for_years_are_forgotten(house: Any) -> None:
    actor = Actor("user", "ana", "ui")
    old = await house.db.write(lambda tx: shortlinks.create(tx, b"k", "/alerts?m=old", actor, START_MS))
    used = await house.db.write(lambda tx: shortlinks.create(tx, b"k", "/alerts?m=used", actor, START_MS))
    later = START_MS + shortlinks.KEPT_MS + 1
    await house.db.write(lambda tx: shortlinks.create(tx, b"k", "/alerts?m=used", actor, later))
    await house.db.write(lambda tx: shortlinks.create(tx, b"k", "/alerts?m=new", actor, later))
    assert await house.db.read(lambda tx: [shortlinks.address_of(tx, one) for one in (old, used)]) == [None, "/alerts?m=used"]


def test_an_incident_and_the_overview_are_pages() -> None:
    for path in ("/", "/?kiosk=1", "/i/7", "/d/hosts?panel=2", "/services/a%20b", "/checks/x#run-1", "/services/ü"):
        assert is_page(path, LINKED), path
    with pytest.raises(CommandError):
        shortlinks.page_address("http://127.0.0.1:8911.evil.example/", "http://127.0.0.1:8911", LINKED)


async def test_a_wallboards_link_becomes_a_cookie_that_only_looks(house: Any) -> None:
    token = await house.token("viewer")
    begun = await house.client.get(f"/wallboard?t={token}&next=/services%3Fkiosk%3D1")
    assert (begun.status, begun.headers["location"]) == (303, "/services?kiosk=1")
    cookie = begun.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and token not in begun.headers["location"]
    screen = {"cookie": cookie.partition(";")[0]}
    session = (await house.client.get(f"{API}/session", headers=screen)).json()
    assert (session["user"]["name"], session["user"]["role"]) == ("viewer", "viewer")
    link = {"url": "/explore?q=1"}
    assert (await house.client.post(f"{API}/links", headers=screen, json=link)).status == 403, (
        "another site's page has no CSRF token"
    )
    told = await house.client.post(f"{API}/links", headers={**screen, "x-csrf-token": session["csrf"]}, json=link)
    assert told.status == 201
    refused = await house.client.post(f"{API}/markers", headers={**screen, "x-csrf-token": session["csrf"]}, json={"text": "x"})
    assert refused.status == 403 and "needs the role responder" in refused.text

    admin = await house.as_role("admin")
    row = next(one for one in (await admin.get(f"{API}/tokens")).json()["tokens"] if one["role"] == "viewer")
    await admin.request("DELETE", f"{API}/tokens/{row['id']}")
    assert (await house.client.get(f"{API}/session", headers=screen)).status == 401
    assert (await house.client.get("/", headers=screen)).headers["location"] == "/login?next=/"
    assert (await house.client.get(f"/wallboard?t={token}")).status == 403


@pytest.mark.parametrize("role", ["sender", "responder", "admin"])
async def test_a_wallboard_needs_a_viewers_token(house: Any, role: str) -> None:
    token = await house.token(role)
    answer = await house.client.get(f"/wallboard?t={token}")
    assert answer.status == 403 and "role viewer" in answer.text and "set-cookie" not in answer.headers
    assert (await house.client.get(f"{API}/session", headers={"cookie": f"tocsin_wallboard={token}"})).status == 401


async def test_a_wallboards_link_leads_to_pages_only_and_guesses_are_counted(house: Any) -> None:
    token = await house.token("viewer")
    for target in ("//evil.example", "/signin?t=x", "https://evil.example"):
        begun = await house.client.get("/wallboard", query={"t": token, "next": target})
        assert begun.headers["location"] == "/?kiosk=1"
    codes = [(await house.client.get(f"/wallboard?t=guess{n}")).status for n in range(21)]
    assert codes[:20] == [403] * 20 and codes[20] == 429
