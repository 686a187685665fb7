"""Inbound requests: right ones become commands; forged, stale, repeated and foreign ones do not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote, urlencode

import orjson
import pytest
from tests.fakes.house import person

from tocsin.model.incident import ContactMethod
from tocsin.model.notification import NotificationState
from tocsin.notify.inbound import (
    Replays,
    pagerduty_command,
    person_of,
    slack_command,
    telegram_command,
    twilio_reply,
    twilio_report,
    verify_pagerduty,
    verify_slack,
    verify_twilio,
)
from tocsin.notify.links import AckLink, sign, verify

NOW = 1_767_225_600_000
PRESS = {
    "type": "block_actions",
    "trigger_id": "t.1",
    "user": {"id": "U1"},
    "actions": [{"action_id": "acknowledge", "value": "42"}],
}


def slack_body(payload: object = PRESS) -> bytes:
    return b"payload=" + quote(orjson.dumps(payload)).encode()


def slack_headers(body: bytes, *, secret: str = "s", at_s: int = NOW // 1000) -> dict[str, str]:
    mark = hmac.new(secret.encode(), b"v0:%d:%s" % (at_s, body), hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": str(at_s), "x-slack-signature": f"v0={mark}"}


def test_a_press_on_slacks_button_is_a_command_of_the_linked_person() -> None:
    body = slack_body()
    assert verify_slack(slack_headers(body), body, secret="s", now_ms=NOW)
    command = slack_command(body)
    assert command is not None and (command.name, command.incident, command.who) == ("acknowledge", 42, "U1")
    ana = person("ana")
    ana = type(ana)("ana", methods=(ContactMethod("slack", "slack", "#ops", {"user_id": "U1"}),))
    assert person_of({"ana": ana}, "slack", "U1") == "ana" and person_of({"ana": ana}, "slack", "U2") == ""


@pytest.mark.parametrize(("secret", "age_s"), [("wrong", 0), ("s", 301), ("s", -301), ("", 0)])
def test_a_forged_or_stale_slack_request_is_refused(secret: str, age_s: int) -> None:
    body = slack_body()
    assert not verify_slack(slack_headers(body, secret=secret, at_s=NOW // 1000 - age_s), body, secret="s", now_ms=NOW)


@pytest.mark.parametrize(
    "payload", [{}, [], {**PRESS, "actions": []}, {**PRESS, "actions": [{"action_id": "link_open"}]}, {**PRESS, "actions": ["x"]}]
)
def test_what_is_no_press_is_ignored(payload: object) -> None:
    assert slack_command(slack_body(payload)) is None


def test_a_copy_of_a_request_is_taken_once() -> None:
    replays = Replays()
    assert replays.first("a", NOW) and not replays.first("a", NOW + 1) and replays.first("a", NOW + 3_600_000)


def test_pagerduty_is_believed_by_any_of_two_secrets_and_our_own_echo_is_ignored() -> None:
    event = {
        "id": "e1",
        "event_type": "incident.acknowledged",
        "agent": {"type": "user_reference", "summary": "Ana"},
        "data": {"incident_key": "tocsin/t.example/42"},
    }
    body = orjson.dumps({"event": event})
    mark = hmac.new(b"new", body, hashlib.sha256).hexdigest()
    headers = {"x-pagerduty-signature": f"v1=0000, v1={mark}", "x-webhook-id": "w1"}
    assert verify_pagerduty(headers, body, secrets=["old", "new"])
    assert not verify_pagerduty(headers, body + b" ", secrets=["old", "new"]) and not verify_pagerduty({}, body, secrets=[""])
    command = pagerduty_command(headers, body, host="t.example")
    assert command is not None and (command.name, command.incident, command.who) == ("acknowledge", 42, "Ana")
    assert pagerduty_command(headers, body, host="other.example") is None
    echo = orjson.dumps({"event": {**event, "agent": {"type": "inbound_integration_reference"}}})
    assert pagerduty_command(headers, echo, host="t.example") is None
    assert pagerduty_command(headers, b"[1]", host="t.example") is None


def test_a_reply_by_sms_is_a_command_of_the_phones_owner() -> None:
    form = {"From": "+33612345678", "Body": " a42 ", "MessageSid": "SM1"}
    body, url = urlencode(form).encode(), "https://t.example/hooks/twilio"
    signed = url + "".join(name + form[name] for name in sorted(form))
    mark = base64.b64encode(hmac.new(b"t", signed.encode(), hashlib.sha1).digest()).decode()
    assert verify_twilio({"x-twilio-signature": mark}, url, body, token="t")
    assert not verify_twilio({"x-twilio-signature": mark}, url + "?x", body, token="t")
    command = twilio_reply(body)
    assert command is not None and (command.name, command.incident) == ("acknowledge", 42)
    ana = type(person("ana"))("ana", methods=(ContactMethod("sms", "sms", "+33 6 12 34 56 78"),))
    assert person_of({"ana": ana}, "sms", command.who) == "ana"
    assert twilio_reply(urlencode({**form, "Body": "thanks!"}).encode()) is None


def test_delivery_reports_say_only_what_is_final() -> None:
    sent = urlencode({"MessageSid": "SM1", "MessageStatus": "sent"}).encode()
    bad = urlencode({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"}).encode()
    assert twilio_report(sent) is None
    report = twilio_report(bad)
    assert report is not None and report.state is NotificationState.FAILED and "30003" in report.text


def test_a_press_in_telegram_names_the_incident() -> None:
    found = telegram_command({"update_id": 1, "callback_query": {"id": "q", "from": {"id": 7}, "data": "ack:42"}})
    assert found is not None and found[0].incident == 42 and found[0].who == "7"
    assert telegram_command({"callback_query": {"id": "q", "from": {"id": 7}, "data": "ack:x"}}) is None
    assert telegram_command({"message": {}}) is None


def test_an_acknowledge_link_is_good_for_one_person_one_incident_and_one_day() -> None:
    key = b"k" * 32
    token = sign(key, AckLink(42, "ana maria", NOW + 1000))
    assert verify(key, token, NOW) == AckLink(42, "ana maria", NOW + 1000)
    assert verify(key, token, NOW + 1000) is None
    assert verify(b"x" * 32, token, NOW) is None and verify(b"", token, NOW) is None
    for i in range(len(token)):
        forged = token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]
        assert verify(key, forged, NOW) is None, forged
    for nonsense in ("", ".", "...", "é" * 9, "1.2.3.4", token * 9):
        assert verify(key, nonsense, NOW) is None
