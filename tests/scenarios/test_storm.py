"""500 alerts in a minute to one person, through the whole program on virtual time: few messages, and a row for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.scenarios.world import World

from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.ports import HttpResponse

ALERTS, MINUTE_S = 500, 60
CONFIG = """
external_url: https://tocsin.example
shipped_rules: false
host: {enabled: false}
global: {smtp_smarthost: "mail.example:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}
channels:
  sms: {account_sid: AC1, auth_token: t, from: "+15005550006"}
  slack: {bot_token: xoxb-1}
users:
  - name: ana
    email: ana@shop.example
    contact: [{sms: "+33612345678"}, {slack: "C01"}]
policies:
  - {name: default, repeat: 1, steps: [{notify: ana, wait: 60m}]}
"""


class Storm:
    """The program, the alerts and what reached the providers."""

    def __init__(self, folder: Path, *, route: str) -> None:
        self.world = World(folder, config=CONFIG + route)
        self.world.http.route = self._answer
        self.roots: list[dict[str, Any]] = []
        self.edits: list[float] = []
        self.replies: list[float] = []
        self.texts: list[tuple[float, bytes]] = []

    def _answer(self, request: Any) -> HttpResponse:
        if "Messages.json" in request.url:
            self.texts.append((request.at_s, request.body))
            return HttpResponse(201, {}, b'{"sid": "SM1", "status": "queued"}')
        body = orjson.loads(request.body)
        if request.url.endswith("chat.update"):
            self.edits.append(request.at_s)
        elif "thread_ts" in body:
            self.replies.append(request.at_s)
        else:
            self.roots.append(body)
        answer = {"ok": True, "ts": body.get("ts") or f"{len(self.roots)}.{len(self.replies)}", "channel": "C01"}
        return HttpResponse(200, {}, orjson.dumps(answer))

    def run(self, *, minutes: int) -> None:
        async def rain() -> None:
            for n in range(ALERTS):
                labels = {"alertname": "Down", "severity": "critical", "service": "shop", "instance": f"i{n}"}
                now_ms = self.world.clock.now_ms()
                alert = Alert(Labels(labels), {"summary": "shop: instances do not answer"}, now_ms, now_ms + 3_600_000)
                await self.world.core.dispatcher.post([alert])
                await asyncio.sleep(MINUTE_S / ALERTS)

        self.world.story((1000, rain), until=f"{minutes}m")

    def rows(self) -> list[Any]:
        query = "select channel, kind, state, incident, state_reason, extra from notifications"
        return list(self.world._read(lambda tx: tx.exec_driver_sql(query).all()))


@pytest.fixture(params=["one group", "500 groups"])
def storm(request: pytest.FixtureRequest, tmp_path: Path) -> Storm:
    by = "[alertname]" if request.param == "one group" else "['...']"
    found = Storm(tmp_path, route=f"route: {{receiver: web, group_by: {by}}}\nreceivers: [{{name: web, policy: default}}]\n")
    found.run(minutes=6)
    return found


@pytest.mark.slow
def test_500_alerts_in_a_minute_are_few_messages_and_a_row_for_each(storm: Storm) -> None:
    incidents = storm.world.incidents("open")
    mails = [at_ms for at_ms, _ in storm.world._mails() if at_ms <= 301_000]
    many = len(incidents) > 1
    shown = (len(incidents), len(mails), len(storm.texts), len(storm.roots), len(storm.edits), len(storm.replies))
    print("incidents, mails, texts, roots, edits, replies:", shown)
    assert sum(at_s <= 301 for at_s, _ in storm.texts) <= 2
    assert len(mails) <= 2
    assert len(storm.roots) <= (2 if many else 1)
    assert all(later - earlier >= 1 for earlier, later in zip(storm.edits, storm.edits[1:], strict=False))
    assert all(later - earlier >= 29 for earlier, later in zip(storm.replies, storm.replies[1:], strict=False))
    titles = [row["title"] for row in incidents]
    assert len(incidents) == 1 or (len(incidents) <= 21 and any(title.startswith("Storm:") for title in titles))
    # Nothing is dropped: each incident, merged ones too, has a row for each way to ana, sent or bundled into one that was.
    per_channel = Counter(row.channel for row in storm.rows() if row.kind == "page")
    numbers = {row.incident for row in storm.rows()}
    assert per_channel == {channel: len(numbers) for channel in ("sms", "slack", "email")}
    assert len(numbers) == (ALERTS + 1 if many else 1)
    waiting = [row for row in storm.rows() if row.kind == "page" and row.state not in ("accepted", "delivered", "bundled")]
    assert not waiting, waiting[:3]
