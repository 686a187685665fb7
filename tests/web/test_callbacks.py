"""PagerDuty-shaped events in, and what people answer in Slack, PagerDuty and by SMS: signatures, replays, unknown people."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote_plus, urlencode

import orjson
import pytest
import sqlalchemy as sa
from tests.fakes.ports import FakeHttp
from tests.web.conftest import START_MS, StillClock

from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.model.incident import ContactMethod, Person
from tocsin.model.notification import NotificationState
from tocsin.notify.inbound import Report
from tocsin.notify.settings import ChannelSettings
from tocsin.state.schema import alerts, incident_alerts, incidents
from tocsin.web.enqueue import severity_of
from tocsin.web.inbound import Inbound, incident_of_key, refused_total

# -- /v2/enqueue -------------------------------------------------------------------------------------------------------


def event(key: str, action: str = "trigger", **more):
    payload = {"summary": "disk is full", "source": "db-1", "severity": "error", "group": "db"}
    return {"routing_key": key, "event_action": action, "dedup_key": "d1", "payload": payload, **more}


async def test_a_trigger_becomes_an_alert_that_fires_until_it_is_resolved(house):
    house.core.answers["alerts.post"] = {"accepted": 1}
    key = await house.token("sender")
    answer = await house.client.post("/v2/enqueue", json=event(key))
    assert (answer.status, answer.json()["status"], answer.json()["dedup_key"]) == (202, "success", "d1")
    [alert] = house.core.commanded("alerts.post")[0]["alerts"]
    assert alert["labels"] == {
        "alertname": "PagerDutyEvent", "dedup_key": "d1", "instance": "db-1", "service": "db", "severity": "critical"
    }  # fmt: skip
    assert (alert["ends_at_ms"], alert["source"], alert["annotations"]) == (0, "pagerduty", {"summary": "disk is full"})

    def write(tx):
        tx.execute(
            sa.insert(alerts).values(
                fingerprint="f", labels=alert["labels"], annotations={}, starts_at_ms=1, suppressed_by=[], source="pagerduty"
            )
        )
        tx.execute(
            sa.insert(incidents).values(
                number=3, key="k", state="triggered", policy={}, group_labels={}, remediation={}, extra={}, title="t"
            )
        )
        tx.execute(sa.insert(incident_alerts).values(incident=3, fingerprint="f", labels={}, annotations={}))

    house.db.write_now(write)
    house.core.answers["incident.acknowledge"] = {}
    assert (await house.client.post("/v2/enqueue", json=event(key, "acknowledge", payload=None))).status == 202
    assert house.core.commanded("incident.acknowledge") == [{"number": 3}]
    assert (await house.client.post("/v2/enqueue", json=event(key, "resolve", payload=None))).status == 202
    assert house.core.commanded("alerts.post")[1]["alerts"][0]["ends_at_ms"] == START_MS


async def test_a_routing_key_that_is_no_token_or_may_not_send_is_refused(house):
    assert (await house.client.post("/v2/enqueue", json=event("nonsense"))).status == 401
    assert (await house.client.post("/v2/enqueue", json=event(await house.token("viewer")))).status == 403
    wrong = await house.client.post("/v2/enqueue", json={"routing_key": "x"})
    assert (wrong.status, wrong.json()["status"]) == (400, "invalid event")
    assert house.core.commanded("alerts.post") == []


def test_pagerdutys_severities_map_to_ours():
    ours = ("info", "warning", "critical")
    assert [severity_of(word, ours) for word in ("info", "warning", "error", "critical")] == [
        "info",
        "warning",
        "critical",
        "critical",
    ]


# -- callbacks ---------------------------------------------------------------------------------------------------------

ANA = Person(
    "ana",
    methods=(
        ContactMethod("s", "slack", "@ana", {"user_id": "U1"}),
        ContactMethod("p", "sms", "+33 6 12 34 56 78"),
        ContactMethod("v", "voice", "+33 6 12 34 56 78"),
    ),
)
SECRETS = {
    "slack": {"signing_secret": "s3"},
    "pagerduty": {"webhook_secret": "p3"},
    "sms": {"auth_token": "t3"},
    "voice": {"auth_token": "v3"},
}


@pytest.fixture
def done():
    return []


@pytest.fixture
def inbound(done):
    async def command(name, args, actor):
        if args["number"] == 404:
            raise CommandError(404, "not_found", "there is no incident #404")
        done.append((name, dict(args), actor))

    settings = ChannelSettings(defaults=SECRETS, persons={"ana": ANA}, external_url="https://t.example")

    async def report(found):
        done.append(found)
        return True

    return Inbound(settings=lambda: settings, command=command, clock=StillClock(), report=report, http=FakeHttp())


def slack(action="acknowledge", value="42", user="U1", at_ms=START_MS, secret="s3"):
    payload = {"type": "block_actions", "user": {"id": user}, "actions": [{"action_id": action, "value": value}]}
    body = b"payload=" + quote_plus(orjson.dumps(payload)).encode()
    stamp = str(at_ms // 1000)
    mark = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={mark}"}
    return {"channel": "slack", "body": body.decode(), "headers": headers}


VIA = Actor("integration", "slack", "callback", "1.2.3.4")


async def test_a_button_in_slack_acts_in_the_persons_name_once(inbound, done):
    assert await inbound(slack(), VIA) == {}
    assert done == [("incident.acknowledge", {"number": 42}, Actor("user", "ana", "slack", "1.2.3.4"))]
    with pytest.raises(CommandError, match="already"):
        await inbound(slack(), VIA)


@pytest.mark.parametrize(
    "forged", [slack(secret="x"), slack(at_ms=START_MS - 301_000), {**slack(), "body": slack()["body"] + "x"},
               {**slack(), "headers": {}}, {**slack(), "headers": {"x-slack-request-timestamp": "x", "x-slack-signature": "v0="}}]
)  # fmt: skip
async def test_what_slack_did_not_sign_or_signed_long_ago_does_nothing(inbound, done, forged):
    with pytest.raises(CommandError) as refused:
        await inbound(forged, VIA)
    assert refused.value.status == 401 and done == []


async def test_strangers_and_refused_commands_are_told_why(inbound, done):
    assert "does not know you" in (await inbound(slack(user="U9"), VIA))["text"]
    assert "no incident #404" in (await inbound(slack(value="404"), VIA))["text"]
    assert await inbound(slack(action="link_open"), VIA) == {}
    assert done == []


async def test_an_incident_resolved_in_pagerduty_is_resolved_here(inbound, done):
    event = {"event_type": "incident.resolved", "agent": {"summary": "Ben"}, "data": {"incident_key": "tocsin/t.example/42"}}
    body = orjson.dumps({"event": event})
    mark = hmac.new(b"p3", body, hashlib.sha256).hexdigest()
    sent = {"channel": "pagerduty", "body": body.decode(), "headers": {"x-pagerduty-signature": f"v1=old,v1={mark}"}}
    await inbound(sent, VIA)
    assert done[0][0] == "incident.resolve" and done[0][2].name == "Ben"
    with pytest.raises(CommandError):
        await inbound({**sent, "headers": {"x-pagerduty-signature": "v1=00"}}, VIA)


def sms(body="A42", sender="+33612345678", token="t3"):
    form = {"From": sender, "Body": body, "MessageSid": f"SM{body}"}
    text = "https://t.example/in/twilio" + "".join(f"{k}{form[k]}" for k in sorted(form))
    mark = base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()
    return {
        "channel": "twilio",
        "body": urlencode(form),
        "headers": {"x-twilio-signature": mark},
        "url": "http://127.0.0.1/in/twilio",
    }


async def test_a_text_message_acknowledges_and_is_answered(inbound, done):
    assert "Done" in (await inbound(sms(), VIA))["body"]
    assert done == [("incident.acknowledge", {"number": 42}, Actor("user", "ana", "sms", "1.2.3.4"))]
    assert "Answer a letter" in (await inbound(sms("hello"), VIA))["body"]
    done.clear()
    await inbound(sms("n 7"), VIA)
    assert done == [("incident.verdict", {"number": 7, "verdict": "noise"}, Actor("user", "ana", "sms", "1.2.3.4"))]
    assert "does not know you" in (await inbound(sms("e 7", sender="+100000"), VIA))["body"]
    with pytest.raises(CommandError):
        await inbound(sms("R42", token="x"), VIA)


def sms_status(status, signed_path="/in/twilio/status", token="t3"):
    form = {"MessageSid": "SM7", "MessageStatus": status}
    text = f"https://t.example{signed_path}" + "".join(f"{k}{form[k]}" for k in sorted(form))
    mark = base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()
    return {"channel": "twilio/status", "body": urlencode(form), "headers": {"x-twilio-signature": mark}, "url": ""}


async def test_a_signed_delivery_report_reaches_the_log_and_a_forged_one_does_not(inbound, done):
    assert await inbound(sms_status("sent"), VIA) == {} and done == [], "stages before the end say nothing"
    assert await inbound(sms_status("delivered"), VIA) == {}
    assert done == [Report("SM7", NotificationState.DELIVERED, "Twilio: delivered")]
    for forged in (sms_status("failed", token="x"), sms_status("failed", signed_path="/in/twilio")):
        with pytest.raises(CommandError) as refused:
            await inbound(forged, VIA)
        assert refused.value.status == 401
    assert len(done) == 1


async def test_the_door_of_delivery_reports_hands_everything_to_the_core(house):
    house.core.answers["inbound"] = {}
    sent = await house.client.post("/in/twilio/status", form={"MessageSid": "SM7"}, headers={"x-twilio-signature": "m"})
    (args,) = house.core.commanded("inbound")
    assert sent.status == 200 and (args["channel"], args["body"]) == ("twilio/status", "MessageSid=SM7")
    assert args["headers"]["x-twilio-signature"] == "m"


def call(digits="4", *, incident="42", to="+33612345678", token="v3", path="/in/twilio/voice", **more):
    form = {"To": to, "From": "+15005550006", "CallSid": "CA7", **({"Digits": digits} if digits else {}), **more}
    query = f"?incident={incident}" if path == "/in/twilio/voice" else ""
    text = f"https://t.example{path}{query}" + "".join(f"{k}{form[k]}" for k in sorted(form))
    mark = base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()
    headers = {"x-twilio-signature": mark}
    return {
        "channel": path.removeprefix("/in/"),
        "body": urlencode(form),
        "headers": headers,
        "url": f"http://10.0.0.1{path}{query}",
    }


async def test_a_key_pressed_in_a_call_acts_in_the_name_of_who_was_called(inbound, done):
    for key, verb, said in (("4", "acknowledge", "Acknowledged"), ("5", "escalate", "next"), ("6", "resolve", "Resolved")):
        assert said in (await inbound(call(key), VIA))["body"]
        assert done[-1] == (f"incident.{verb}", {"number": 42}, Actor("user", "ana", "voice", "1.2.3.4"))
    done.clear()
    assert "means nothing" in (await inbound(call("9"), VIA))["body"]
    assert "does not know you" in (await inbound(call("4", to="+100000000"), VIA))["body"]
    assert "no incident #404" in (await inbound(call("4", incident="404"), VIA))["body"]
    for forged in (call("4", token="x"), {**call("4"), "url": "http://10.0.0.1/in/twilio/voice?incident=43"}, call("4")):
        with pytest.raises(CommandError) as refused:  # the last one came before
            await inbound(forged, VIA)
        assert refused.value.status == 401
    assert done == []


@pytest.mark.parametrize(
    ("status", "by", "state"),
    [
        ("completed", "human", NotificationState.DELIVERED),
        ("completed", "machine_start", NotificationState.FAILED),
        ("busy", "", NotificationState.FAILED),
        ("no-answer", "", NotificationState.FAILED),
        ("ringing", "", None),
    ],
)
async def test_how_a_call_went_reaches_the_log_and_a_voicemail_is_nobody(inbound, done, status, by, state):
    more = {"CallStatus": status, **({"AnsweredBy": by} if by else {})}
    assert await inbound(call("", path="/in/twilio/voice/status", **more), VIA) == {}
    assert [report.state for report in done] == ([state] if state else [])


async def test_the_door_of_calls_hands_the_signed_address_to_the_core(house):
    house.core.answers["inbound"] = {"content_type": "text/xml", "body": "<Response/>"}
    sent = await house.client.post("/in/twilio/voice?incident=42", form={"CallSid": "CA7", "Digits": "4"})
    (args,) = house.core.commanded("inbound")
    assert args["channel"] == "twilio/voice" and args["url"].endswith("/in/twilio/voice?incident=42")
    assert sent.headers["content-type"].startswith("text/xml")


# -- PagerDuty's side --------------------------------------------------------------------------------------------------


def pagerduty(event, secret=b"p3"):
    body = orjson.dumps({"event": event}) if isinstance(event, dict) else event
    mark = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {"channel": "pagerduty", "body": body.decode("latin-1"), "headers": {"x-pagerduty-signature": f"v1={mark}"}}


def acknowledged(agent, number="42", **more):
    return {"event_type": "incident.acknowledged", "agent": agent, "data": {"incident_key": f"tocsin/t.example/{number}"}, **more}


async def test_what_we_told_pagerduty_ourselves_does_not_come_back_as_new(inbound, done):
    for echo in (
        acknowledged({"type": "events_api_v2_inbound_integration_reference", "summary": "Tocsin"}),
        acknowledged({"type": "user_reference", "summary": "Ben"}, client={"name": "Tocsin"}),
    ):
        assert await inbound(pagerduty(echo), VIA) == {}
    assert done == []


async def test_an_acknowledgement_in_pagerduty_comes_back_once_although_it_is_sent_twice(inbound, done):
    sent = pagerduty(acknowledged({"type": "user_reference", "summary": "Ben"}))
    assert await inbound(sent, VIA) == {} and await inbound(sent, VIA) == {}, "a refusal would count against the subscription"
    assert done == [("incident.acknowledge", {"number": 42}, Actor("integration", "Ben", "pagerduty", "1.2.3.4"))]


async def test_an_event_of_pagerduty_that_has_no_effect_is_taken_all_the_same(inbound, done):
    gone = acknowledged({"type": "user_reference", "summary": "Ben"}, "404")
    odd = ({"event_type": "incident.annotated"}, {"event_type": "incident.resolved", "data": None}, b"not json", b"[]")
    for event in (gone, *odd):
        assert await inbound(pagerduty(event), VIA) == {}
    assert done == []


async def test_signed_nonsense_from_slack_does_nothing(inbound, done):
    for body in (b"payload=not-json", b"payload=[1]", b"", b"\xff\xfe"):
        stamp = str(START_MS // 1000)
        mark = hmac.new(b"s3", f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={mark}"}
        assert await inbound({"channel": "slack", "body": body.decode("latin-1"), "headers": headers}, VIA) == {}
    assert done == []


async def test_a_refused_callback_is_counted_for_the_administrator(inbound):
    before = refused_total.value("slack", "bad_signature")
    with pytest.raises(CommandError):
        await inbound(slack(secret="x"), VIA)
    assert refused_total.value("slack", "bad_signature") == before + 1


async def test_a_service_without_a_secret_is_not_set_up(done):
    async def command(name, args, actor):
        done.append(name)

    bare = Inbound(settings=ChannelSettings, command=command, clock=StillClock(), report=command, http=FakeHttp())
    for channel in ("slack", "pagerduty", "twilio", "twilio/status", "twilio/voice", "twilio/voice/status", "other"):
        with pytest.raises(CommandError) as refused:
            await bare({"channel": channel, "body": "", "headers": {}}, VIA)
        assert refused.value.status == 404
    assert done == []


def test_our_own_dedup_keys_are_recognised():
    assert incident_of_key("tocsin/t.example/42") == 42
    assert incident_of_key("else/42") is None
