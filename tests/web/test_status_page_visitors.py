"""Visitors of a status page ask for mails, confirm and leave: without JavaScript, and nobody learns of anybody else."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.incidents import publish, subscribers
from tocsin.model.check import CheckState
from tocsin.notify.links import ensure_key, sign_visitor
from tocsin.state.schema import status_subscribers
from tocsin.web.parts import WebSettings
from tocsin.web.statuspage_html import BESIDE, render
from tocsin.web.statuspage_view import read_view
from tocsin.web.statuspage_visitors import network_of

PAGE = {"title": "The Shop", "mails": True, "components": [{"name": "Website", "checks": ["shop-internal-id"]}]}
SHOP = subscribers.Page("shop", "The Shop")


@pytest.fixture
def settings():
    pages = {"shop": PAGE, "quiet": {**PAGE, "mails": False}, "hooks": {**PAGE, "mails": False, "webhooks": True}}
    return WebSettings(status_pages=pages, external_url="https://status.example")


@pytest.fixture
def follow(house):
    """The page's commands over the real tables."""

    def subscribe(args, _actor):
        if "webhook" in args:
            chance, now_ms, page = house.parts.random, house.clock.t_ms, subscribers.Page("hooks", "The Shop")
            return house.db.write_now(
                lambda tx: subscribers.subscribe_hook(tx, page, args["webhook"], private=False, random=chance, now_ms=now_ms)
            )
        return house.db.write_now(
            lambda tx: subscribers.subscribe(tx, SHOP, args["address"], random=house.parts.random, now_ms=house.clock.t_ms)
        )

    def confirm(args, _actor):
        return {
            "known": house.db.write_now(lambda tx: subscribers.confirm(tx, args["page"], args["subscriber"], house.clock.t_ms))
        }

    def leave(args, _actor):
        house.db.write_now(lambda tx: subscribers.leave(tx, args["page"], args["subscriber"], house.clock.t_ms))

    house.core.answers |= {"statuspage.subscribe": subscribe, "statuspage.confirm": confirm, "statuspage.leave": leave}
    house.key = house.db.write_now(lambda tx: ensure_key(tx, house.parts.random))
    return house


def path(house, purpose, number=1, *, page="shop", expires_ms=0):
    return f"/status/{page}/{purpose}/{sign_visitor(house.key, purpose, page, number, expires_ms)}"


def confirmed(house):
    return house.db.read_now(lambda tx: tx.execute(sa.select(status_subscribers.c.confirmed_ms)).scalars().all())


async def test_from_the_form_to_the_last_mail(follow):
    client = follow.client
    text = (await client.get("/status/shop")).text
    assert 'action="/status/shop/subscribe"' in text and "form-action &#x27;self&#x27;" in text
    answer = await client.post("/status/shop/subscribe", form={"address": "ana@shop.example"})
    assert answer.status == 200 and "Look into your mailbox" in answer.text and "ana@" not in answer.text
    confirm = path(follow, "confirm", expires_ms=START_MS + 1000)
    assert (await client.get(confirm)).status == 200 and confirmed(follow) == [0], "a mail scanner confirms nothing"
    assert (await client.post(confirm, form={})).status == 200 and confirmed(follow) == [START_MS]
    leave = path(follow, "leave")
    assert (await client.get(leave)).status == 200 and confirmed(follow) == [START_MS]
    one_click = await client.post(leave, form={"List-Unsubscribe": "One-Click"})
    assert one_click.status == 200 and confirmed(follow) == []
    assert (await client.post(leave, form={})).status == 200, "again is as good as once"
    assert (await client.post(confirm, form={})).status == 404


async def test_a_webhook_is_given_confirmed_and_stopped_without_a_script(follow):
    client, form = follow.client, {"webhook": "https://hooks.example.com/a"}
    text = (await client.get("/status/hooks")).text
    assert 'name="webhook" type="url"' in text and 'name="address"' not in text
    assert 'name="webhook"' not in (await client.get("/status/shop")).text
    assert (await client.post("/status/shop/subscribe", form=form)).status == 404, "no page has them unless it says so"
    answer = await client.post("/status/hooks/subscribe", form=form)
    assert answer.status == 200 and "Look what your webhook got" in answer.text and "hooks.example" not in answer.text
    again = await client.post("/status/hooks/subscribe", form=form)
    assert again.body == answer.body
    inner = await client.post("/status/hooks/subscribe", form={"webhook": "http://127.0.0.1:9/"})
    assert inner.status == 422 and "on the public internet" in inner.text
    confirm = path(follow, "confirm", page="hooks", expires_ms=START_MS + 1000)
    asked = await client.get(confirm)
    assert "post every update" in asked.text and confirmed(follow) == [0], "who only looks confirms nothing"
    done = await client.post(confirm)
    assert done.status == 200 and "Everything we post" in done.text and confirmed(follow) == [START_MS]
    leave = path(follow, "leave", page="hooks")
    assert "Stop these posts" in (await client.get(leave)).text
    stopped = await client.post(leave)
    assert "No more posts" in stopped.text and confirmed(follow) == []


async def test_known_and_unknown_addresses_get_the_same_answer(follow):
    first = await follow.client.post("/status/shop/subscribe", form={"address": "ana@shop.example"})
    follow.db.write_now(lambda tx: subscribers.confirm(tx, "shop", 1, START_MS))
    again = await follow.client.post("/status/shop/subscribe", form={"address": "ana@shop.example"})
    other = await follow.client.post("/status/shop/subscribe", form={"address": "ben@shop.example"})
    assert first.body == again.body == other.body
    wrong = await follow.client.post("/status/shop/subscribe", form={"address": "<b>"})
    assert wrong.status == 422 and "<b>" not in wrong.text


async def test_one_place_may_not_ask_for_many(follow):
    for number in range(10):
        form = {"address": f"a{number}@shop.example"}
        assert (await follow.client.post("/status/shop/subscribe", form=form)).status == 200
    assert (await follow.client.post("/status/shop/subscribe", form={"address": "a@shop.example"})).status == 429
    assert len(confirmed(follow)) == 10
    follow.clock.t_ms += 3_600_001
    assert (await follow.client.post("/status/shop/subscribe", form={"address": "a@shop.example"})).status == 200


async def test_forged_and_guessed_links_are_all_the_same_and_soon_refused(follow):
    for attempt in range(20):
        answer = await follow.client.get(f"/status/shop/leave/{attempt}.0.aaaa")
        assert answer.status == 404 and "not complete or has expired" in answer.text
    assert (await follow.client.get(path(follow, "leave"))).status == 429


async def test_a_page_without_mail_has_no_form_and_takes_none(follow):
    assert "<form" not in (await follow.client.get("/status/quiet")).text
    assert (await follow.client.post("/status/quiet/subscribe", form={"address": "ana@shop.example"})).status == 404
    assert (await follow.client.post("/status/none/subscribe", form={"address": "ana@shop.example"})).status == 404


async def test_another_site_cannot_ask_in_somebodys_name(follow):
    headers = {"origin": "https://elsewhere.example"}
    form = {"address": "ana@shop.example"}
    assert (await follow.client.post("/status/shop/subscribe", form=form, headers=headers)).status == 403


def test_a_household_of_ipv6_is_one_place():
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") != network_of("2001:db8:1::1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("not an address") == "not an address"


def test_what_responders_say_of_a_component_is_shown_until_the_story_ends(house):
    def tell(state, components):
        house.db.write_now(
            lambda tx: publish.publish(
                tx, incident=7, page="shop", state=state, title="Payments", text=state, published_by="", now_ms=START_MS,
                components=components,
            )
        )  # fmt: skip
        return house.db.read_now(lambda tx: read_view(tx, "shop", PAGE, START_MS, stale=False))

    view = tell("investigating", {"Website": "down"})
    assert view.components[0].state is CheckState.DOWN
    text = render(view, BESIDE)
    assert "<p>Website: down</p>" in text and "Affected: Website." in text and "<form" not in text
    assert tell("monitoring", {"Website": "operational"}).components[0].state is CheckState.UNKNOWN, "its check is not known"
    assert tell("resolved", {}).components[0].state is CheckState.UNKNOWN


def test_an_edited_update_says_so_and_keeps_its_place_in_the_feed(house):
    def write(tx):
        update, _ = publish.publish(
            tx, incident=0, page="shop", state="identified", title="Mail", text="Slwo.", published_by="", now_ms=START_MS
        )
        publish.edit(tx, page="shop", update=update.id, changes={"text": "Slow."}, version=1, now_ms=START_MS + 60_000)

    house.db.write_now(write)
    view = house.db.read_now(lambda tx: read_view(tx, "shop", PAGE, START_MS + 60_000, stale=False))
    assert re.search("Slow.", render(view, BESIDE)) and "edited 2023-11-14" in render(view, BESIDE)
    assert view.stories[0].updates[0].version == 2
