"""The mail to a visitor of a status page: headers that let mail programs unsubscribe, texts escaped, no address in the log."""

from __future__ import annotations

import asyncio

import pytest

from tocsin.model.notification import Notification, NotificationKind
from tocsin.model.ports import SmtpAnswer
from tocsin.notify.channel import Io
from tocsin.notify.links import visitor_urls
from tocsin.notify.render import message
from tocsin.notify.settings import ChannelSettings

SETTINGS = ChannelSettings(
    defaults={"email": {"smarthost": "mail.example:587", "from": "Shop status <status@shop.example>"}},
    external_url="https://status.example",
)
VISITOR = {"page": "shop", "page_title": "The Shop", "subscriber": 7, "update": 3}


def note(**payload):
    told = {"title": "Investigating: <b>Orders</b>\r\nBcc: x@y.example", "lines": ["A <script>."], "visitor": VISITOR, **payload}
    return Notification(
        "0" * 32, 0, NotificationKind.PUBLISHED, "email", "", "visitor 7 of shop", 0, 0, 1, "You get this because.", "k",
        "visitor:ana@shop.example", told,
    )  # fmt: skip


class Server:
    def __init__(self, answer: SmtpAnswer) -> None:
        self.answer = answer
        self.sent: dict[str, object] = {}

    async def send(self, **given):
        self.sent = given
        return self.answer


TAKEN = SmtpAnswer(250, "2.1.5 <ana@shop.example> ok", True)


def mailed(one, answer=TAKEN):
    server = Server(answer)
    channel = SETTINGS.channel(one.settings_ref)
    urls = visitor_urls(SETTINGS.external_url, b"key", one.payload["visitor"], 0)
    delivery = asyncio.run(channel.send(message(one, visitor=urls), Io(None, server, 0, host="status.example")))
    return server.sent, delivery, channel


def test_a_mail_of_an_update_offers_to_leave_by_one_click():
    sent, delivery, channel = mailed(note())
    text = sent["message"].decode()
    assert sent["recipient"] == "ana@shop.example" and sent["security"] == "starttls"
    assert "List-Unsubscribe: <https://status.example/status/shop/leave/7.0." in text.replace("=\r\n", "").replace("\r\n ", " ")
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in text
    assert "\r\nBcc:" not in text.split("\r\n\r\n")[0] and "<script>" not in text.split("text/html")[1]
    assert "Tocsin" not in text.split("\r\n\r\n", 1)[1], "a visitor need not know by what"
    assert channel.lane() == "visitors mail.example:587", "pages do not wait behind it"
    assert "ana@" not in delivery.reason and delivery.status == 250


def test_a_refusal_is_told_without_the_address():
    _, delivery, _ = mailed(note(), SmtpAnswer(550, "<ana@shop.example> unknown", False))
    assert delivery.reason == "mail server refused: 550 <this address> unknown"


def test_the_mail_that_confirms_has_no_list_header_and_says_the_link():
    sent, _, _ = mailed(note(visitor={**VISITOR, "confirm": True, "update": 0}))
    text = sent["message"].decode().replace("=\r\n", "")
    assert "List-Unsubscribe" not in text and "/status/shop/confirm/7." in text


def test_a_visitor_who_has_left_is_not_written_to():
    with pytest.raises(ValueError, match="has left"):
        SETTINGS.channel("visitor:")
