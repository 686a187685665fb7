"""One table over all channels: a provider that answers nonsense is never believed, and a label cannot speak in our name."""

from __future__ import annotations

import email
import email.policy
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from tests.fakes.ports import FakeHttp, FakeSmtp
from tests.notify.test_real_ports_and_providers import message

from tocsin.model.notification import DeliveryOutcome, NotificationKind
from tocsin.model.ports import HttpResponse, SmtpAnswer
from tocsin.notify.channel import Io, build, registry

SETTINGS: dict[str, dict[str, Any]] = {
    "discord": {"webhook_url": "https://d.example/api/webhooks/1/x"},
    "incidentio": {"url": "https://i.example/x", "alert_source_token": "src"},
    "jira": {"api_url": "https://j.example/rest/api/2", "project": "P", "issue_type": "Bug"},
    "mattermost": {"webhook_url": "https://m.example/hooks/x"},
    "msteams": {"webhook_url": "https://t.example/workflows/x"},
    "msteams_connector": {"webhook_url": "https://t.example/connector/x"},
    "ntfy": {"topic": "ops"},
    "opsgenie": {"api_key": "k"},
    "pagerduty": {"routing_key": "k" * 32},
    "pushover": {"user_key": "u", "token": "t"},
    "rocketchat": {"token": "t", "token_id": "i", "channel": "#ops"},
    "slack": {"bot_token": "xoxb-1", "channel": "C1"},
    "sms": {"to": "+33612345678", "from": "+15005550006", "account_sid": "AC1", "auth_token": "t"},
    "sns": {"topic_arn": "arn:aws:sns:eu-west-1:1:t", "sigv4": {"region": "eu-west-1", "access_key": "A", "secret_key": "s"}},
    "telegram": {"bot_token": "1:t", "chat_id": 42},
    "victorops": {"api_key": "k", "routing_key": "r"},
    "voice": {"to": "+33612345678", "sender": "+15005550006", "account_sid": "AC1", "auth_token": "t"},
    "webex": {"room_id": "room"},
    "wechat": {"api_secret": "s", "corp_id": "c", "to_user": "@all", "agent_id": 7},
}
BY_STATUS = {
    "webhook": "any 2xx means taken, as with Alertmanager",
    "incidentio": "answers 202 with a body that says nothing more",
    "jira": "204 without a body is how it takes a transition",
    "victorops": "answers 200 with a result that Alertmanager does not read either",
    "msteams_connector": "answers 200 to all; only its own words of failure are read",
    "msteams": "the workflow answers 202 without a body",
    "opsgenie": "answers 202: it has only queued it",
}
"""Why the body of a 2xx is not read where it is not."""
ELSEWHERE = {"apprise", "email", "webhook"}
"""Not one HTTP request of ours, or by status alone: tests of their own."""
GARBAGE = [
    b"",
    b"<html><title>Welcome to Hotel Wifi</title>",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b'"ok"',
    b"42",
    b"{}",
    b'{"ok": "no"}',
    b'{"ok": true, "result": []}',
    b'{"status": {"x": []}, "error": [1], "message": {"a": 1}, "parameters": 3, "errors": "x", "id": null, "sid": null}',
    b"[" * 5000,
]


async def answered(name: str, body: bytes, status: int = 200) -> Any:
    http = FakeHttp(default=HttpResponse(status, {}, body))
    io = Io(http=http, smtp=FakeSmtp(), now_ms=1_767_225_600_000, host="t.example")
    return await build(name, SETTINGS[name]).send(message(), io)


def test_the_table_names_every_channel() -> None:
    assert set(SETTINGS) | ELSEWHERE == set(registry())


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - set(BY_STATUS)))
@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_a_200_with_garbage_is_no_success(name: str, body: bytes) -> None:
    answer = await answered(name, body)
    assert answer.outcome in (DeliveryOutcome.RETRY, DeliveryOutcome.PERMANENT, DeliveryOutcome.UNKNOWN), (name, body, answer)
    assert answer.reason, "whoever looks at the log sees why"


@pytest.mark.parametrize("name", sorted(set(BY_STATUS) & set(SETTINGS)))
@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_where_the_status_alone_counts_garbage_breaks_nothing(name: str, body: bytes) -> None:
    assert (await answered(name, body)).outcome in DeliveryOutcome
    assert (await answered(name, body, 500)).outcome is DeliveryOutcome.RETRY


async def test_a_mail_server_that_says_nothing_that_can_be_read_is_tried_again() -> None:
    smtp = FakeSmtp(default=SmtpAnswer(0, "????", False))
    io = Io(http=FakeHttp(), smtp=smtp, now_ms=1, host="t.example")
    answer = await build("email", {"to": "ana@shop.example", "smarthost": "mail:25", "from": "t@shop.example"}).send(
        message(), io
    )
    assert answer.outcome in (DeliveryOutcome.RETRY, DeliveryOutcome.UNKNOWN)


MENTIONS = "<!channel> <!here> <@U1> <!everyone> @channel @all @everyone @here <@all> <at>all</at> <https://evil.example|log in>"
REFUSED = {
    "slack": ("<!channel>", "<!here>", "<@U1>", "<https://evil.example|log in>"),
    "mattermost": ("<!channel>", "<!here>", "<@U1>", "@channel", "@all", "@here", "<https://evil.example|log in>"),
    "webex": ("<@all>",),
}
"""What would call people or forge a link there, in the order of a request's text."""


@pytest.mark.parametrize("name", ["slack", "mattermost", "discord", "telegram", "msteams", "ntfy", "webex"])
@pytest.mark.parametrize("kind", [NotificationKind.PAGE, NotificationKind.RESOLVED])
async def test_a_label_cannot_call_everybody(name: str, kind: NotificationKind) -> None:
    alerts = ({"labels": {"alertname": MENTIONS}, "annotations": {"summary": MENTIONS}, "starts_at_ms": 1, "ends_at_ms": 0},)
    given = message(kind, title=MENTIONS, lines=(MENTIONS,), why=MENTIONS)
    given = type(given)(**{**{f: getattr(given, f) for f in given.__dataclass_fields__}, "alerts": alerts})
    http = FakeHttp()
    await build(name, SETTINGS[name]).send(given, Io(http=http, smtp=FakeSmtp(), now_ms=1, host="t.example"))
    request = http.requests[0]
    body = orjson.loads(request.body)
    shown = texts(body, plain=name == "slack")
    for forbidden in REFUSED.get(name, ()):
        assert not any(forbidden in text for text in shown), (name, forbidden)
    if name == "discord":
        assert body["allowed_mentions"] == {"parse": []}
    if name == "telegram":
        assert "parse_mode" not in body and "entities" not in body, "plain text: Telegram reads no markup in it"
    if name == "msteams":
        card = body["attachments"][0]["content"]
        assert "entities" not in card.get("msteams", {}), "a mention needs an entity, and there is none"


def texts(value: Any, *, plain: bool) -> list[str]:
    """Every text of a body; without Slack's plain_text, which is shown as it is."""
    if isinstance(value, dict):
        if plain and value.get("type") == "plain_text":
            return []
        return [text for item in value.values() for text in texts(item, plain=plain)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item, plain=plain)]
    return [value] if isinstance(value, str) else []


async def test_a_line_break_in_a_label_makes_no_header_of_a_mail() -> None:
    smtp = FakeSmtp()
    io = Io(http=FakeHttp(), smtp=smtp, now_ms=1_767_225_600_000, host="t.example")
    title = "down\r\nBcc: eve@evil.example\r\n\r\n<script>"
    channel = build("email", {"to": "ana@shop.example", "smarthost": "mail:25", "from": "t@shop.example"})
    assert (await channel.send(message(title=title), io)).outcome is DeliveryOutcome.ACCEPTED
    (mail,) = smtp.mails
    read = email.message_from_bytes(mail.message, policy=email.policy.default)
    assert read["Bcc"] is None
    assert "evil.example" in read["Subject"] and "\n" not in read["Subject"]
    assert read["To"] == mail.recipient == "ana@shop.example"


@pytest.mark.parametrize("name", ["sms", "voice", "pushover"])
async def test_a_line_break_makes_no_field_of_a_form(name: str) -> None:
    http = FakeHttp()
    title = "down\r\nTo=+33999&To=+33888"
    await build(name, SETTINGS[name]).send(message(title=title), Io(http=http, smtp=FakeSmtp(), now_ms=1, host="t.example"))
    form = parse_qs(http.requests[0].body.decode())
    assert all(len(values) == 1 for values in form.values())
    assert form.get("To", ["+33612345678"]) == ["+33612345678"]
