"""The same alertmanager.yml and alerts into the real Alertmanager and into ours: the providers get the same requests.

Two texts are meant to differ and are not compared: our name where Alertmanager says its own, and links to an incident's page.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.alertmanager_peer import Api, real_alertmanager, routing_of
from tests.fakes.provider import Seen
from tests.fakes.receivers import FakeReceivers

from tocsin.model.labels import Labels
from tocsin.model.notification import DeliveryOutcome, Message, Notification, NotificationKind
from tocsin.model.route import Routing
from tocsin.notify.channel import Io, build
from tocsin.notify.client import ConfiguredHttp
from tocsin.notify.http import RealHttp
from tocsin.notify.smtp import RealSmtp

pytestmark = [pytest.mark.peer]

URL = "http://tocsin.example"
GROUP_KEY = '{}:{alertname="Down"}'
CONFIG = """
route: {{receiver: r, group_by: [alertname], group_wait: 1500ms, group_interval: 100ms, repeat_interval: 1h}}
receivers:
- name: r
  opsgenie_configs:
  - {{api_key: k, api_url: "{url}/opsgenie/", tags: "a,,{{{{ .CommonLabels.severity }}}}", note: "n", priority: P1, entity: e,
     details: {{status: "{{{{ .Status }}}}"}}, responders: [{{name: "x,y", type: teams}}, {{username: u, type: user}}],
     actions: "go", update_alerts: true}}
  victorops_configs:
  - {{api_key: key, routing_key: team, api_url: "{url}/victorops/", monitoring_tool: m,
     custom_fields: {{own: "{{{{ .Receiver }}}}"}}}}
  webex_configs:
  - {{room_id: room, api_url: "{url}/webex/v1/messages", http_config: {{authorization: {{credentials: bot}}}}}}
  msteams_configs:
  - {{webhook_url: "{url}/teams/x"}}
  rocketchat_configs:
  - {{token: tok, token_id: uid, api_url: "{url}/rocketchat", channel: "#ops", send_resolved: true, emoji: ":x:",
     fields: [{{title: t, value: "{{{{ .Status }}}}"}}, {{title: u, value: v, short: true}}], short_fields: false,
     actions: [{{type: button, text: Go, url: "http://x"}}]}}
  sns_configs:
  - {{topic_arn: "arn:aws:sns:eu-west-1:1:t", api_url: "{url}/sns/", attributes: {{own: "{{{{ .Status }}}}"}},
     sigv4: {{region: eu-west-1, access_key: OWN, secret_key: s}}}}
  wechat_configs:
  - {{api_secret: sec, corp_id: corp, api_url: "{url}/wechat/", to_user: "@all", agent_id: "7", send_resolved: true}}
  jira_configs:
  - {{api_url: "{url}/jira/rest/api/2", project: P, issue_type: Bug, labels: [l], resolve_transition: Done,
     fields: {{customfield_1: {{value: "{{{{ .Receiver }}}}"}}}}, http_config: {{basic_auth: {{username: u, password: p}}}}}}
  incidentio_configs:
  - {{url: "{url}/incidentio/x", alert_source_token: src}}
"""
PROVIDERS = ("opsgenie", "victorops", "webex", "teams", "rocketchat", "sns", "wechat", "jira", "incidentio")
LABELS = {"alertname": "Down", "service": "shop", "instance": "a:1", "severity": "critical"}
ALERTS = [
    {"labels": LABELS, "annotations": {"summary": "it is <down> & out", "runbook_url": "http://r"}, "generatorURL": "http://g/1"},
    {
        "labels": {**LABELS, "instance": "b:1", "severity": "info"},
        "annotations": {"summary": "too"},
        "generatorURL": "http://g/2",
    },
]


def test_the_providers_get_what_alertmanager_sends(tmp_path: Path) -> None:
    with FakeReceivers() as theirs, FakeReceivers() as ours:
        started, ended = run_real(tmp_path, theirs)
        run_ours(routing_of(CONFIG.format(url=ours.url)), started, ended)
        assert not theirs.broken and not ours.broken, (theirs.broken, ours.broken)
        for name in PROVIDERS:
            wanted, got = said_to(theirs, name), said_to(ours, name)
            assert len(wanted) >= 2, f"the real one told {name} nothing: {[seen.path for seen in theirs.seen]}"
            assert got == wanted, name


def run_real(folder: Path, fake: FakeReceivers) -> tuple[datetime, datetime]:
    """Fire two alerts, end them; returns when they began and ended."""
    with real_alertmanager(folder, CONFIG.format(url=fake.url), f"--web.external-url={URL}", "--web.route-prefix=/") as real:
        # One that is older than group_wait would be told at once, before the other has come.
        started = datetime.now(UTC).replace(microsecond=0)
        post(real, started, None)
        until(lambda: all(said_to(fake, name) for name in PROVIDERS) and len(said_to(fake, "opsgenie")) == 3)
        before = {name: len(said_to(fake, name)) for name in PROVIDERS}
        ended = datetime.now(UTC)
        post(real, started, ended)
        until(lambda: all(len(said_to(fake, name)) > before[name] for name in PROVIDERS) and bool(fake.transitions))
    return started, ended


def post(real: Api, started: datetime, ended: datetime | None) -> None:
    more = {"endsAt": ended.isoformat()} if ended else {}
    body = [{**alert, "startsAt": started.isoformat(), **more} for alert in ALERTS]
    assert real.post("/api/v2/alerts", body)[0] == 200


def until(condition: Any) -> None:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def run_ours(routing: Routing, started: datetime, ended: datetime) -> None:
    async def both() -> None:
        async with RealHttp() as http:
            for destination in routing.receivers["r"].destinations:
                channel = build(destination.channel, destination.settings)
                used = ConfiguredHttp(http, channel.http_config, now_ms=now_ms) if channel.http_config else http
                for kind in (NotificationKind.PAGE, NotificationKind.RESOLVED):
                    io = Io(http=used, smtp=RealSmtp(), now_ms=now_ms(), host="t.example")
                    answer = await channel.send(message(kind, started, ended), io)
                    assert answer.outcome is DeliveryOutcome.ACCEPTED, (destination.channel, answer)

    asyncio.run(both())


def now_ms() -> int:
    return round(time.time() * 1000)


def message(kind: NotificationKind, started: datetime, ended: datetime) -> Message:
    """What the deliverer hands to a channel for this group."""
    over = kind is NotificationKind.RESOLVED
    note = Notification(
        id="1" * 32, incident=1, kind=kind, channel="x", address="", recipient="r", due_at_ms=1, created_ms=1, expires_ms=2,
        reason="", dedup_key="d", settings_ref="receiver:r/x/0",
    )  # fmt: skip
    alerts = [
        {
            "labels": alert["labels"],
            "annotations": alert["annotations"],
            "generator_url": alert["generatorURL"],
            "starts_at_ms": round(started.timestamp() * 1000),
            "ends_at_ms": round(ended.timestamp() * 1000) if over else 0,
            "fingerprint": Labels(alert["labels"]).fingerprint_hex(),
        }
        for alert in ALERTS
    ]
    group = {
        "receiver": "r",
        "group_key": GROUP_KEY,
        "group_labels": {"alertname": "Down"},
        "external_url": URL,
        "reason": "all_resolved" if over else "first",
    }
    return Message(
        notification=note, title="Down", severity="critical", state="resolved" if over else "triggered", lines=("x",), why="",
        alerts=tuple(alerts), group=group,
    )  # fmt: skip


def said_to(fake: FakeReceivers, name: str) -> list[Any]:
    """The accepted requests to one provider, without what is meant to differ."""
    return [normal(seen) for seen in list(fake.seen) if seen.accepted and seen.path.startswith(f"/{name}/")]


def normal(seen: Seen) -> tuple[str, str, Any, str]:
    authorization = re.sub(r"(?s)^AWS4.*", "signed", seen.headers.get("authorization", ""))
    if seen.path.startswith("/sns/"):
        body: Any = dict(urllib.parse.parse_qsl(seen.body, keep_blank_values=True))
    else:
        body = json.loads(seen.body) if seen.body else None
    if isinstance(body, dict):
        body.pop("routeLabels", None)  # 0.34
        body.pop("notification_reason", None)
        for alert in body.get("alerts", ()):
            alert.pop("endsAt")  # Alertmanager keeps nanoseconds.
    return seen.method, seen.path, body, authorization
