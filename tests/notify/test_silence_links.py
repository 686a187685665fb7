"""Every message that can be silenced says where: the dashboard's form, filled with the labels that its alerts share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from tests.fakes.house import HOOK_URL, SLACK_URL, House, alert, directory, page, person, policy
from tests.fakes.ports import FakeHttp, FakeSmtp
from tests.fakes.virtual import run_virtual
from tests.notify.test_real_ports_and_providers import message

from tocsin.model.alert import PageReason
from tocsin.model.notification import NotificationKind
from tocsin.model.route import Destination
from tocsin.notify.channel import Io, build
from tocsin.notify.channels.msteams import card_message
from tocsin.notify.channels.ntfy import Ntfy
from tocsin.notify.channels.pagerduty import PagerDuty
from tocsin.notify.channels.slack import blocks
from tocsin.notify.render import html_body, text_body
from tocsin.notify.silencelink import silence_url


def matchers(url: str) -> list[str]:
    return parse_qs(urlsplit(url).query)["m"]


def test_the_link_holds_what_makes_the_alerts_themselves() -> None:
    labels = {"severity": "critical", "instance": 'a "b"\\c', "alertname": "Down", "__x": "y", "a.b": "c"}
    url = silence_url("https://t.example/ops", labels)
    assert url.startswith("https://t.example/ops/silences?m=")
    assert matchers(url) == ['alertname="Down"', 'instance="a \\"b\\"\\\\c"']
    assert silence_url("", labels) == silence_url("https://t.example", {"severity": "x"}) == ""
    long = silence_url("https://t.example", {"alertname": "Down", "z": "x" * 5000})
    assert matchers(long) == ['alertname="Down"']


@pytest.mark.parametrize("where", ["text", "html", "slack", "teams", "pagerduty", "ntfy"])
def test_the_link_stands_in_the_message(where: str) -> None:
    url = silence_url("https://t.example", {"alertname": "Down"})
    given = dataclasses.replace(message(alerts=1), silence_url=url, fields=(("alertname", "Down"),))
    shown = {
        "text": lambda: text_body(given),
        "html": lambda: html_body(given).replace("&amp;", "&"),
        "slack": lambda: orjson.dumps(blocks(given)).decode(),
        "teams": lambda: orjson.dumps(card_message(given)).decode(),
        "ntfy": lambda: orjson.dumps(Ntfy.model_validate({"topic": "ops"})._body(given)).decode(),
        "pagerduty": lambda: orjson.dumps(PagerDuty.model_validate({"routing_key": "k" * 32}).event(given, "t")).decode(),
    }[where]()
    assert url in shown


def test_a_page_carries_it_and_an_end_does_not(tmp_path: Path) -> None:
    places = (Destination("slack", {"api_url": SLACK_URL}), Destination("webhook", {"url": HOOK_URL}, index=1))
    people = directory(person("ana", "email"), policy=policy(["ana"]), destinations=places)

    async def story() -> None:
        async with House(people, tmp_path / "state.db").running() as h:
            await h.page(page(alert(instance="a"), alert(instance="b")))
            await h.wait(5)
            (first,) = [request for request in h.http.requests if request.url == SLACK_URL]
            (button,) = [one for one in orjson.loads(first.body)["blocks"][-1]["elements"] if one["action_id"] == "link_silence"]
            assert matchers(button["url"]) == ['alertname="Down"', 'service="web"'], "instances differ"
            ended = alert(instance="a", ends_at_ms=h.clock.now_ms()), alert(instance="b", ends_at_ms=h.clock.now_ms())
            await h.page(page(resolved=ended, reason=PageReason.ALL_RESOLVED))
            await h.wait(5)
            last = [request for request in h.http.requests if request.url == SLACK_URL][-1]
            assert b"link_silence" not in last.body

    run_virtual(story())


async def test_a_webhook_has_it_in_a_header_and_a_pushover_message_where_it_fits() -> None:
    url = silence_url("https://t.example", {"alertname": "Down"})
    http = FakeHttp()
    io = Io(http=http, smtp=FakeSmtp(), now_ms=1)
    short = dataclasses.replace(message(alerts=0, lines=("since 14:03",)), silence_url=url)
    await build("webhook", {"url": HOOK_URL}).send(short, io)
    assert http.requests[-1].headers["X-Tocsin-Silence-Url"] == url
    push = build("pushover", {"user_key": "u", "token": "t"})
    for given, told in ((short, True), (dataclasses.replace(short, lines=("x" * 1000,)), False)):
        await push.send(given, io)
        (text,) = parse_qs(http.requests[-1].body.decode())["message"]
        assert text.endswith(f"Silence: {url}") is told
        assert len(text) <= 1024


async def test_a_webhook_carries_the_code_that_verifies_it() -> None:
    http = FakeHttp()
    code = "123456 is your code. Enter it in Tocsin within 10 minutes."
    given = message(NotificationKind.TEST, alerts=0, title="Verify this address", lines=(code,), state="test")
    await build("webhook", {"url": HOOK_URL}).send(given, Io(http=http, smtp=FakeSmtp(), now_ms=1))
    body = orjson.loads(http.requests[0].body)
    assert body["commonAnnotations"] == {"summary": "Verify this address", "description": code}
    assert body["alerts"] == [] and body["status"] == "resolved", "a program that counts alerts sees none"
