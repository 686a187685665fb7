"""Every channel against a fake of its provider: what we send is within the contract, what it answers is understood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.chats import FakeChats
from tests.fakes.pagerduty import FakePagerDuty
from tests.fakes.slack import FakeSlack
from tests.fakes.twilio import FakeTwilio
from tests.notify.test_real_ports_and_providers import NASTY, message

from tocsin.model.notification import DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import Io, build, registry
from tocsin.notify.gsm import septets, sms_text, to_gsm
from tocsin.notify.http import RealHttp
from tocsin.notify.smtp import RealSmtp

ACCEPTED, RETRY, PERMANENT, UNKNOWN = (
    DeliveryOutcome.ACCEPTED,
    DeliveryOutcome.RETRY,
    DeliveryOutcome.PERMANENT,
    DeliveryOutcome.UNKNOWN,
)
KEY = "k" * 32


@pytest.fixture
def chats() -> Iterator[FakeChats]:
    with FakeChats() as server:
        yield server


def settings_of(name: str, url: str) -> dict[str, Any]:
    return {
        "telegram": {"bot_token": "1:t", "chat_id": 42, "api_url": url},
        "ntfy": {"topic": "ops", "server": url},
        "msteams": {"webhook_url": f"{url}/workflows/x"},
        "discord": {"webhook_url": f"{url}/api/webhooks/1/x"},
        "mattermost": {"webhook_url": f"{url}/hooks/x"},
    }[name]


async def send(name: str, settings: dict[str, Any], given: Message, refs: dict[str, Any] | None = None) -> Any:
    async with RealHttp() as http:
        io = Io(http=http, smtp=RealSmtp(), now_ms=1_767_225_600_000, refs=refs if refs is not None else {}, host="t.example")
        return await build(name, settings).send(given, io)


@pytest.mark.parametrize("name", ["telegram", "ntfy", "msteams", "discord", "mattermost"])
@pytest.mark.parametrize("alerts", [1, 400])
async def test_a_chat_takes_what_we_post_whatever_the_labels_hold(chats: FakeChats, name: str, alerts: int) -> None:
    given = message(title=NASTY * 3, alerts=alerts, lines=(NASTY * 40,))
    answer = await send(name, settings_of(name, chats.url), given)
    assert answer.outcome is ACCEPTED, (answer, chats.broken)
    assert not chats.broken


@pytest.mark.parametrize("name", ["telegram", "ntfy", "msteams", "discord", "mattermost"])
@pytest.mark.parametrize(
    ("act", "outcome"), [("429", RETRY), ("500", RETRY), ("drop", UNKNOWN), ("redirect", RETRY), ("garbage", RETRY)]
)
async def test_a_bad_day_of_a_chat_is_a_retry(chats: FakeChats, name: str, act: str, outcome: DeliveryOutcome) -> None:
    chats.script(act, retry_after=9)
    answer = await send(name, settings_of(name, chats.url), message())
    assert answer.outcome is outcome, answer
    assert act != "429" or answer.retry_after_ms == 9000
    assert "/x" not in answer.reason and "1:t" not in answer.reason


async def test_discord_edits_one_message_and_says_the_news_in_a_line(chats: FakeChats) -> None:
    settings = {"webhook_url": f"{chats.url}/api/webhooks/1/x?thread_id=9"}
    refs: dict[str, Any] = {}
    assert (await send("discord", settings, message(), refs)).outcome is ACCEPTED
    over = message(NotificationKind.RESOLVED, state="resolved", lines=("Resolved after 4 min. [a](http://evil)",))
    assert (await send("discord", settings, over, refs)).outcome is ACCEPTED
    root, news = (chats.discord[key] for key in sorted(chats.discord, key=int))
    assert root["embeds"][0]["title"].startswith("RESOLVED") and "\\[a\\]" in news["content"]
    assert [seen.method for seen in chats.seen] == ["POST", "PATCH", "POST"] and not chats.broken
    assert all("thread_id=9" in seen.path for seen in chats.seen)
    chats.discord.clear()
    assert (await send("discord", settings, over, refs)).outcome is ACCEPTED, "a deleted message is begun anew"


async def test_a_person_who_blocked_the_bot_is_a_permanent_failure(chats: FakeChats) -> None:
    settings = {**settings_of("telegram", chats.url), "chat_id": "blocked"}
    assert (await send("telegram", settings, message())).outcome is PERMANENT


async def test_pagerduty_has_one_alert_for_one_incident_through_its_whole_life() -> None:
    with FakePagerDuty() as pagerduty:
        settings = {"routing_key": KEY, "url": f"{pagerduty.url}/v2/enqueue"}
        refs: dict[str, Any] = {}
        for kind in ("page", "page", "update", "acknowledged", "resolved"):
            assert (await send("pagerduty", settings, message(NotificationKind(kind), title=NASTY * 9), refs)).outcome is ACCEPTED
        assert not pagerduty.broken and pagerduty.opened == ["tocsin/t.example/42"]
        assert pagerduty.alerts == {"tocsin/t.example/42": "resolved"}


async def test_pagerduty_hears_of_an_incident_that_was_acknowledged_before_it_was_told() -> None:
    with FakePagerDuty() as pagerduty:
        settings = {"routing_key": KEY, "url": f"{pagerduty.url}/v2/enqueue"}
        assert (await send("pagerduty", settings, message(NotificationKind.ACKNOWLEDGED))).outcome is ACCEPTED
        assert pagerduty.alerts == {"tocsin/t.example/42": "acknowledged"}


async def test_a_refused_event_is_not_tried_again() -> None:
    with FakePagerDuty() as pagerduty:
        answer = await send("pagerduty", {"routing_key": "short", "url": f"{pagerduty.url}/v2/enqueue"}, message())
        assert answer.outcome is PERMANENT and "32 characters" in answer.reason


async def test_slack_as_an_app_edits_one_message_and_tells_the_news_in_its_thread() -> None:
    with FakeSlack() as slack:
        settings = {"bot_token": "xoxb-1", "channel": "C01", "web_api": f"{slack.url}/api", "interactive": True}
        refs: dict[str, Any] = {}
        assert (await send("slack", settings, message(), refs)).outcome is ACCEPTED
        resolved = message(NotificationKind.RESOLVED, state="resolved", alerts=40)
        assert (await send("slack", settings, resolved, refs)).outcome is ACCEPTED
        assert not slack.broken
        calls = [(seen.path, seen.parsed) for seen in slack.seen]
        assert [path for path, _ in calls] == ["/api/chat.postMessage", "/api/chat.update", "/api/chat.postMessage"]
        assert calls[1][1]["ts"] == calls[2][1]["thread_ts"] == refs["ts"]
        first_actions = next(block for block in calls[0][1]["blocks"] if block["type"] == "actions")
        assert [b["action_id"] for b in first_actions["elements"]][:4] == ["acknowledge", "escalate", "silence", "resolve"]
        last_actions = next(block for block in calls[1][1]["blocks"] if block["type"] == "actions")
        assert [b["action_id"] for b in last_actions["elements"]][:3] == ["real", "noise", "duplicate"]


async def test_slack_saying_ok_false_is_a_refusal() -> None:
    with FakeSlack() as slack:
        answer = await send("slack", {"bot_token": "wrong", "channel": "C01", "web_api": f"{slack.url}/api"}, message())
        assert answer.outcome is PERMANENT and "not_authed" in answer.reason


SMS = {"to": "+33 6 12 34 56 78", "from": "+15005550006", "account_sid": "AC1", "auth_token": "t"}


async def test_an_sms_is_one_segment_whatever_the_title_holds() -> None:
    with FakeTwilio() as twilio:
        for title in ("web is down", NASTY * 4, "Ошибка 500 – ça va… “mal” ≥ 5 €", "x" * 500):
            answer = await send("sms", {**SMS, "api_url": twilio.url}, message(title=title))
            assert answer.outcome is ACCEPTED, (answer, twilio.broken)
        assert all("reply A42" in text for _, text in twilio.texts) and not twilio.broken


async def test_a_phone_that_opted_out_is_a_permanent_failure() -> None:
    with FakeTwilio() as twilio:
        twilio.opted_out.add("+33612345678")
        assert (await send("sms", {**SMS, "api_url": twilio.url}, message())).outcome is PERMANENT


async def test_twilio_and_pagerduty_answering_200_with_garbage_took_nothing() -> None:
    with FakeTwilio() as twilio, FakePagerDuty() as pagerduty:
        for server in (twilio, twilio, pagerduty):
            server.script("garbage")
        assert (await send("sms", {**SMS, "api_url": twilio.url}, message())).outcome is RETRY
        assert (await send("voice", {**CALL, "api_url": twilio.url}, message())).outcome is RETRY
        assert (await send("pagerduty", {"routing_key": KEY, "url": f"{pagerduty.url}/v2/enqueue"}, message())).outcome is RETRY
        assert not twilio.texts and not twilio.calls and not pagerduty.alerts


CALL = {"to": "+33 6 12 34 56 78", "from": "+15005550006", "account_sid": "AC1", "auth_token": "t"}


async def test_a_call_says_what_is_wrong_twice_and_asks_for_a_key() -> None:
    with FakeTwilio() as twilio:
        settings = {**CALL, "api_url": twilio.url, "answer_url": "https://t.example/in/twilio/voice"}
        for title in ("web is down", NASTY * 9):
            assert (await send("voice", settings, message(title=title))).outcome is ACCEPTED, twilio.broken
        number, root = twilio.calls[0]
        gathers = root.findall("Gather")
        assert number == "+33612345678" and len(gathers) == 2 and not twilio.broken
        assert gathers[0].get("action") == "https://t.example/in/twilio/voice?incident=42"
        assert "Critical: web is down. Press 4 to acknowledge" in (gathers[0].findtext("Say") or "")
        assert twilio.seen[0].parsed["MachineDetection"] == "Enable"


async def test_a_call_without_a_public_address_asks_for_nothing() -> None:
    with FakeTwilio() as twilio:
        assert (await send("voice", {**CALL, "api_url": twilio.url}, message())).outcome is ACCEPTED
        assert not twilio.calls[0][1].findall("Gather") and len(twilio.calls[0][1].findall("Say")) == 2
        twilio.opted_out.add("+33612345678")
        assert (await send("voice", {**CALL, "api_url": twilio.url}, message())).outcome is PERMANENT


async def test_after_two_failures_the_second_provider_takes_over() -> None:
    from dataclasses import replace

    with FakeTwilio() as twilio:
        settings = {**SMS, "api_url": "http://127.0.0.1:9", "vonage_key": "k", "vonage_secret": "s", "vonage_url": twilio.url}
        given = message()
        assert (await send("sms", settings, given)).outcome is RETRY
        third = replace(given, notification=replace(given.notification, attempts=2))
        assert (await send("sms", settings, third)).outcome is ACCEPTED
        assert twilio.texts[0][0] == "+33612345678"


def test_the_sms_of_the_specification_fits_with_its_link() -> None:
    text = sms_text(message(title="checkout-api: 5xx 7.2% (>5% for 3m) 2 regions", incident_url="https://t.example.com/i/42"))
    assert text == (
        "TOCSIN CRIT checkout-api: 5xx 7.2% (>5% for 3m) 2 regions #42\nAck: reply A42, escalate E42\nhttps://t.example.com/i/42"
    )
    assert septets(text) <= 160
    assert to_gsm("5 €—ø…ł") == "5 €-ø...?"


def test_settings_errors_never_show_a_secret() -> None:
    for name in registry():
        with pytest.raises(ValueError) as caught:
            build(name, {"nonsense": "hunter2", "api_url": "hunter2", "url": "hunter2"})
        assert "hunter2" not in str(caught.value)
