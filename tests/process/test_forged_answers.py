"""The real program among liars: forged, stale and repeated answers, a scanner, a number that opted out, an empty shift."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote_plus, urlencode

import orjson
import pytest
from tests.fakes.mail import FakeMail
from tests.fakes.twilio import FakeTwilio

pytestmark = pytest.mark.process

PHONE = "+33612345678"
CONFIG = """
external_url: {url}
shipped_rules: false
global: {{smtp_smarthost: "127.0.0.1:{mail}", smtp_from: tocsin@shop.example, smtp_require_tls: false}}
channels:
  slack: {{signing_secret: s3, bot_token: xoxb-1, web_api: "http://127.0.0.1:9"}}
  pagerduty: {{webhook_secret: p3}}
  sms: {{from: "+15005550006", account_sid: AC1, auth_token: t3, api_url: "{twilio}"}}
  voice: {{from: "+15005550006", account_sid: AC1, auth_token: v3, api_url: "{twilio}"}}
users:
  - {{name: ben, email: ben@shop.example}}
  - name: ana
    email: ana@shop.example
    contact: [{{sms: "{phone}"}}, {{email: ana@shop.example}}]
schedules:
  - name: nobody
    layers: [{{users: [ben], anchor: "2026-01-05T09:00", period: {{unit: weeks, every: 1}}, until: "2026-01-06T09:00"}}]
policies:
  - {{name: web, allow_gaps: true, steps: [{{notify: "schedule:nobody", wait: 1h}}, {{notify: ana, wait: 1h}}]}}
route: {{receiver: web, group_by: [alertname], group_wait: 0s}}
receivers: [{{name: web, policy: web}}]
"""
LABEL = "down\r\nBcc: eve@evil.example\r\n\r\n<!channel> <script>"


def slack(secret: str = "s3", *, age_s: int = 0) -> tuple[str, bytes, dict[str, str]]:
    payload = {"type": "block_actions", "user": {"id": "U1"}, "actions": [{"action_id": "acknowledge", "value": "1"}]}
    body, stamp = b"payload=" + quote_plus(orjson.dumps(payload)).encode(), str(int(time.time()) - age_s)
    mark = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return "/in/slack", body, {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mark}"}


def pagerduty(secret: str = "p3") -> tuple[str, bytes, dict[str, str]]:
    event = {"event_type": "incident.acknowledged", "agent": {"summary": "Eve"}, "data": {"incident_key": "tocsin/t.example/1"}}
    body = orjson.dumps({"event": event})
    return "/in/pagerduty", body, {"X-PagerDuty-Signature": f"v1={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def twilio(base: str, token: str, path: str, **form: str) -> tuple[str, bytes, dict[str, str]]:
    signed = base + path + "".join(f"{name}{form[name]}" for name in sorted(form))
    mark = base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()
    return path, urlencode(form).encode(), {"X-Twilio-Signature": mark, "Content-Type": "application/x-www-form-urlencoded"}


def forged(base: str) -> dict[str, tuple[str, bytes, dict[str, str]]]:
    """What must do nothing, by what is wrong with it."""
    reply = {"From": PHONE, "Body": "A1", "MessageSid": "SM1"}
    signed = slack()
    return {
        "Slack, another secret": slack("x"),
        "Slack, ten minutes old": slack(age_s=600),
        "Slack, from the future": slack(age_s=-600),
        "Slack, changed after it was signed": (signed[0], signed[1] + b"x", signed[2]),
        "Slack, not signed": (signed[0], signed[1], {}),
        "PagerDuty, another secret": pagerduty("x"),
        "PagerDuty, not signed": ("/in/pagerduty", pagerduty()[1], {}),
        "SMS, another token": twilio(base, "x", "/in/twilio", **reply),
        "SMS, signed for another address": twilio("https://eve.example", "t3", "/in/twilio", **reply),
        "SMS, another text than was signed": ("/in/twilio", urlencode({**reply, "Body": "R1"}).encode(),
                                              twilio(base, "t3", "/in/twilio", **reply)[2]),
        "delivery report, another token": twilio(base, "x", "/in/twilio/status", MessageSid="SM1", MessageStatus="delivered"),
        "call, another token": twilio(base, "x", "/in/twilio/voice?incident=1", To=PHONE, Digits="1", CallSid="CA1"),
        "call report, another token": twilio(base, "x", "/in/twilio/voice/status", CallSid="CA1", CallStatus="completed"),
    }  # fmt: skip


def send(base: str, asked: tuple[str, bytes, dict[str, str]]) -> int:
    path, body, headers = asked
    try:
        with urllib.request.urlopen(urllib.request.Request(base + path, body, headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_page_reaches_somebody_and_only_a_true_answer_counts(tocsin: Any) -> None:
    with FakeMail() as mail, FakeTwilio() as phones:
        phones.opted_out.add(PHONE)
        tocsin.folder.mkdir(parents=True)
        where = {"url": tocsin.url, "mail": mail.port, "twilio": phones.url, "phone": PHONE}
        (tocsin.folder / "tocsin.yaml").write_text(CONFIG.format(**where))
        tocsin.start()
        alert = {"labels": {"alertname": LABEL, "severity": "critical"}, "annotations": {"summary": LABEL}}
        tocsin.post("/api/v2/alerts", [alert])

        def incident() -> dict[str, Any]:
            return dict(tocsin.get("/api/tocsin/v1/incidents/1"))

        tocsin.until(lambda: mail.mails, 40, "the page reaches ana by mail: the shift is empty and her phone has opted out")
        (page,) = [one for one in mail.mails if "ana@shop.example" in one["recipients"]]
        assert not mail.broken and "Bcc" not in page["headers"] and "eve@evil.example" not in page["recipients"]
        assert "\n" not in page["subject"] and "<script>" not in page["html"]
        rows = tocsin.get("/api/tocsin/v1/notifications?channel=sms")["notifications"]
        assert rows[0]["state"] == "failed" and "21610" in str(rows[0]["attempt_log"]), "an admin sees who opted out"
        assert any("nobody" in str(event).lower() for event in incident()["timeline"]), "and that the shift was empty"

        assert {what: send(tocsin.url, asked) for what, asked in forged(tocsin.url).items()} == dict.fromkeys(
            forged(tocsin.url), 401
        )
        link = re.search(r"http\S+/ack/\S+", page["text"])
        assert link is not None
        with urllib.request.urlopen(link[0], timeout=10) as form:
            assert "Acknowledge" in form.read().decode()
        assert incident()["state"] == "triggered", "neither the forgers nor a scanner that looks at the link answered for ana"
        refused = tocsin.get("/metrics")
        for channel in ("slack", "pagerduty", "twilio"):
            assert re.search(rf'tocsin_callbacks_refused_total{{[^}}]*channel="{channel}"[^}}]*}} [1-9]', refused), channel

        true = twilio(tocsin.url, "t3", "/in/twilio", From=PHONE, Body="A1", MessageSid="SM9")
        assert send(tocsin.url, true) == 200
        assert incident()["state"] == "acknowledged" and incident()["acknowledged_by"] == "ana"
        assert send(tocsin.url, true) == 401, "the same reply again is a replay"
        assert send(tocsin.url, pagerduty()) == 200, "PagerDuty is always answered; its news changes nothing any more"
        assert incident()["acknowledged_by"] == "ana"
