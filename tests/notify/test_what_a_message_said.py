"""The log of notifications answers "what did the page say?", and gives away nothing that acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import sqlalchemy as sa
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual
from tests.notify.test_real_ports_and_providers import message

from tocsin.model.notification import Notification, NotificationKind
from tocsin.model.ports import HttpResponse
from tocsin.notify import spoken
from tocsin.notify.channel import Channel, build
from tocsin.state import outbox
from tocsin.state.schema import notification_texts

HOOK = "https://hooks.slack.example/services/T/B/verysecret"
SLACK = build("slack", {"api_url": HOOK})


def _heard(*parts: tuple[str, bytes]) -> spoken.Heard:
    heard = spoken.Heard()
    heard.parts += parts
    return heard


def _said(value: Any, channel: Channel = SLACK) -> str:
    return spoken.spoken(_heard(("application/json", orjson.dumps(value))), channel, message())


def _texts(h: House) -> list[Any]:
    return h.db.read_now(lambda tx: list(tx.execute(sa.select(notification_texts).order_by(notification_texts.c.t_ms))))


@pytest.mark.parametrize("channel", ["email", "slack", "webhook"])
def test_what_left_is_kept_as_text_without_links_that_act(tmp_path: Path, channel: str) -> None:
    async def story() -> None:
        async with House(directory(person("ana", channel), policy=policy(["ana"])), tmp_path / "state.db").running() as h:
            await h.page(page(alert("PoolFull")))
            await h.wait(5)
            [row] = _texts(h)
            assert row.notification == h.log()[0]["id"]
            assert "PoolFull on web" in row.body and row.template == ""
            sent = str(h.smtp.mails[0].message) if channel == "email" else str(h.http.requests[0].body)
            assert channel == "webhook" or "/ack/1." in sent, "the message itself has the link"
            assert "/ack/1." not in row.body
            assert channel != "email" or row.body.startswith("Subject: [CRIT #1] PoolFull on web")
            assert channel != "slack" or "Acknowledge" in row.body, "words of buttons are part of what was said"

    run_virtual(story())


def test_a_page_that_failed_says_what_it_would_have_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana", "slack"), policy=policy(["ana"])), tmp_path / "state.db").running() as h:
            h.http.default = HttpResponse(404, {}, b"no_service")
            await h.page(page(alert("PoolFull")))
            await h.wait(5)
            assert h.log()[-1]["state"] == "failed" and "PoolFull" in _texts(h)[0].body

    run_virtual(story())


def test_a_code_is_not_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana")), tmp_path / "state.db").running() as h:
            now_ms = h.clock.now_ms()
            note = Notification(
                id="c" * 32, incident=0, kind=NotificationKind.TEST, channel="email", address="a", recipient="ana",
                due_at_ms=now_ms, created_ms=now_ms, expires_ms=now_ms + 600_000, reason="",
                dedup_key="code/1", settings_ref="user:ana/email",
                payload={"title": "Confirm this contact", "text": "123456 is your code."},
            )  # fmt: skip
            await h.db.write(lambda tx: outbox.enqueue(tx, [note]))
            h.deliverer.wake()
            await h.wait(5)
            assert b"123456" in h.smtp.mails[0].message
            assert "123456" not in _texts(h)[0].body and "not kept" in _texts(h)[0].body

    run_virtual(story())


def test_chat_messages_read_like_chat_messages() -> None:
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "CRITICAL - shop", "emoji": False}},
        {"type": "actions", "elements": [{"type": "button", "action_id": "resolve", "value": "1", "text": {"text": "Resolve"}}]},
    ]
    assert _said({"text": "CRITICAL - shop", "blocks": blocks}) == "CRITICAL - shop\nResolve"
    assert (
        _said({"embeds": [{"title": "Down", "color": 3, "fields": [{"name": "service", "value": "shop"}]}]})
        == "Down\nservice\nshop"
    )


def test_programs_are_shown_every_field_and_no_key() -> None:
    key = "R0UT1NGKEY0123456789"
    channel = build("pagerduty", {"routing_key": key})
    said = _said(
        {"routing_key": key, "dedup_key": "tocsin/1", "payload": {"summary": f"Down {key}", "severity": "critical"}}, channel
    )
    assert key not in said and '"dedup_key": "tocsin/1"' in said and '"severity": "critical"' in said


def test_an_sms_is_its_body() -> None:
    body = urlencode({"To": "+33", "Body": "TOCSIN CRIT shop\nhttps://t.example/ack/1.abc.def x"}).encode()
    said = spoken.text_of("application/x-www-form-urlencoded; charset=utf-8", body)
    assert "TOCSIN CRIT shop" in said and "To: +33" in said
    assert spoken.masked(said, []).endswith("/ack/<hidden> x")


def test_the_address_of_a_webhook_is_a_secret_wherever_it_stands() -> None:
    assert "verysecret" not in _said({"text": f"see {HOOK}"})


def test_what_nobody_could_listen_to_is_said_in_plain_words() -> None:
    assert message().title in spoken.spoken(_heard(), SLACK, message())


def test_very_long_texts_are_cut_and_say_so() -> None:
    said = _said({"text": "x" * 50_000})
    assert len(said) < spoken.LONGEST + 60 and "more characters" in said


def test_old_texts_go_and_of_very_many_the_oldest(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana")), tmp_path / "state.db").running() as h:
            now_ms = h.clock.now_ms()

            def work(tx: Any) -> None:
                for n, age_ms in enumerate((spoken.KEEP_MS + 1, 3000, 2000, 1000)):
                    spoken.keep(tx, f"{n}", "text", "", now_ms - age_ms)
                spoken.prune(tx, now_ms)

            await h.db.write(work)
            assert [row.notification for row in _texts(h)] == ["1", "2", "3"]

    run_virtual(story())
