"""The real HTTP and SMTP ports against real servers on the loopback, which check every request against the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.fakes.mail import FakeMail
from tests.fakes.slack import FakeSlack
from tests.fakes.webhook import FakeWebhook

from tocsin.model.egress import EgressRules, parse_networks
from tocsin.model.notification import DeliveryOutcome, Message, Notification, NotificationKind
from tocsin.model.ports import HttpError
from tocsin.notify.channel import Io, build
from tocsin.notify.http import RealHttp
from tocsin.notify.smtp import RealSmtp

NASTY = "a <!channel> & <http://evil|ok>\r\nBcc: eve@evil.example\r\n\r\n<script>x</script> \U0001f525" * 3


def message(
    kind: NotificationKind = NotificationKind.PAGE, *, title: str = "web is down", alerts: int = 1, **more: Any
) -> Message:
    note = Notification(
        id="0" * 31 + "1", incident=42, kind=kind, channel="x", address="#ops", recipient="ana", due_at_ms=1, created_ms=1,
        expires_ms=2, reason="on call", dedup_key="d", settings_ref="user:ana/x",
    )  # fmt: skip
    listed = tuple(
        {"labels": {"alertname": "Down", "instance": f"i{n}" + NASTY}, "annotations": {"summary": NASTY}, "starts_at_ms": 1,
         "ends_at_ms": 0, "fingerprint": f"{n:016x}", "generator_url": "", "value": 1.5}
        for n in range(alerts)
    )  # fmt: skip
    values: dict[str, Any] = {
        "title": title, "severity": "critical", "state": "triggered", "lines": ("since 14:03", NASTY), "why": "You are on call",
        "incident_url": "https://tocsin.example/i/42", "ack_url": "https://tocsin.example/ack/x", "alerts": listed,
    }  # fmt: skip
    return Message(notification=note, **{**values, **more})


async def send(name: str, settings: Mapping[str, Any], given: Message, http: RealHttp | None = None) -> Any:
    async with http or RealHttp() as used:
        return await build(name, settings).send(given, Io(http=used, smtp=RealSmtp(), now_ms=1_767_225_600_000, host="t.example"))


@pytest.mark.parametrize("alerts", [1, 2, 300])
async def test_slack_takes_what_we_post_whatever_the_labels_hold(alerts: int) -> None:
    with FakeSlack() as slack:
        answer = await send("slack", {"api_url": f"{slack.url}/services/T/B/x"}, message(title=NASTY * 20, alerts=alerts))
        assert answer.outcome is DeliveryOutcome.ACCEPTED, answer
        assert not slack.broken


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        ("429", DeliveryOutcome.RETRY),
        ("500", DeliveryOutcome.RETRY),
        ("garbage", DeliveryOutcome.RETRY),
        ("redirect", DeliveryOutcome.RETRY),
        ("drop", DeliveryOutcome.UNKNOWN),
        ("accept_then_die", DeliveryOutcome.UNKNOWN),
    ],
)
async def test_only_a_well_formed_success_of_slack_counts(act: str, outcome: DeliveryOutcome) -> None:
    with FakeSlack() as slack:
        slack.script(act, retry_after=7)
        answer = await send("slack", {"api_url": f"{slack.url}/services/T/B/x"}, message())
        assert answer.outcome is outcome, answer
        assert answer.retry_after_ms == (7000 if act == "429" else 0)
        assert "services" not in answer.reason


async def test_a_webhook_is_signed_and_carries_its_delivery_id() -> None:
    with FakeWebhook(secret="s3cret") as hook:
        answer = await send("webhook", {"url": f"{hook.url}/in", "secret": "s3cret"}, message(alerts=3))
        assert answer.outcome is DeliveryOutcome.ACCEPTED, hook.broken
        assert hook.deliveries == {"0" * 31 + "1": 1}
        assert (
            await send("webhook", {"url": f"{hook.url}/in", "secret": "wrong"}, message())
        ).outcome is DeliveryOutcome.PERMANENT


async def test_a_mail_cannot_be_given_another_recipient_by_a_label() -> None:
    with FakeMail() as mail:
        settings = {"to": "ana@shop.example", "smarthost": f"127.0.0.1:{mail.port}", "from": "tocsin@t.example"}
        answer = await send("email", settings, message(title=NASTY, alerts=30))
        assert answer.outcome is DeliveryOutcome.ACCEPTED, answer
        assert not mail.broken
        (kept,) = mail.mails
        assert "Bcc" not in kept["headers"] and kept["recipients"] == ["ana@shop.example"]
        assert "<script>" not in kept["html"] and kept["message_id"] == f"<{'0' * 31}1@t.example>"
        assert kept["headers"]["References"] == "<incident-42@t.example>"
        await send("email", settings, message(fields=(("service", "Shop\r\nBcc: eve@evil.example"),)))
        assert mail.mails[1]["headers"]["List-Id"] == "<shop-bcc-eve-evil-example.incidents.t.example>"


@pytest.mark.parametrize(
    ("act", "outcome"),
    [("421", DeliveryOutcome.RETRY), ("451", DeliveryOutcome.RETRY), ("550", DeliveryOutcome.PERMANENT)],
)
async def test_what_a_mail_server_says_decides(act: str, outcome: DeliveryOutcome) -> None:
    with FakeMail() as mail:
        mail.script(act)
        settings = {"to": "ana@shop.example", "smarthost": f"127.0.0.1:{mail.port}"}
        assert (await send("email", settings, message())).outcome is outcome


async def test_a_mail_whose_confirmation_is_lost_counts_as_unknown() -> None:
    with FakeMail() as mail:
        mail.script("accept_then_die")
        settings = {"to": "ana@shop.example", "smarthost": f"127.0.0.1:{mail.port}"}
        assert (await send("email", settings, message())).outcome is DeliveryOutcome.UNKNOWN


@pytest.mark.parametrize("url", ["http://169.254.169.254/x", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0:1/", "ftp://a/"])
async def test_metadata_services_are_out_of_reach(url: str) -> None:
    async with RealHttp() as http:
        with pytest.raises(HttpError) as caught:
            await http.request("POST", url)
        assert not caught.value.sent


async def test_a_name_that_leads_to_a_denied_address_is_refused() -> None:
    with FakeWebhook() as hook:
        async with RealHttp(egress=EgressRules(deny=parse_networks(("127.0.0.0/8", "::1/128")))) as http:
            with pytest.raises(HttpError, match="egress"):
                await http.request("POST", f"http://localhost:{hook.port}/in")
        assert not hook.seen


async def test_nobody_listening_means_that_nothing_was_sent() -> None:
    async with RealHttp() as http:
        with pytest.raises(HttpError) as caught:
            await http.request("POST", "http://127.0.0.1:9/", body=b"x")
        assert not caught.value.sent
