"""An alert over several `continue: true` routes, into the real Alertmanager and into ours: each receiver gets the same requests.

Ours makes one incident of it. The real one runs in real time with short intervals, ours on virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.conformance.alertmanager_peer import Api, real_alertmanager, routing_of
from tests.conformance.test_alertmanager_delivery_holes import Receiver, sink
from tests.conformance.test_alertmanager_holes import until
from tests.fakes.house import House
from tests.fakes.virtual import run_virtual

from tocsin.alerts.dispatch import Dispatcher
from tocsin.incidents.people import Directory
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels

__all__ = ["sink"]
pytestmark = [pytest.mark.peer, pytest.mark.slow]

CONFIG = """
route:
  receiver: rest
  group_by: [alertname]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 1h
  routes:
    - {{receiver: chat, matchers: ['team="web"'], continue: true}}
    - {{receiver: quiet, matchers: ['team="web"'], continue: true, group_interval: 2s}}
    - {{receiver: pager, matchers: ['severity="critical"'], continue: true}}
receivers:
  - {{name: rest}}
  - {{name: chat, webhook_configs: [{{url: "{url}/chat"}}]}}
  - {{name: quiet, webhook_configs: [{{url: "{url}/quiet", send_resolved: false}}]}}
  - {{name: pager, webhook_configs: [{{url: "{url}/pager"}}]}}
"""
GRAVE = {"alertname": "Down", "team": "web", "severity": "critical"}
MILD = {"alertname": "Down", "team": "web", "severity": "warning"}
PATHS = ("/chat", "/quiet", "/pager")


def said(body: dict[str, Any]) -> tuple[Any, ...]:
    """What must be equal in a request."""
    alerts = sorted((one["labels"]["severity"], one["status"], one["fingerprint"]) for one in body["alerts"])
    return body["receiver"], body["status"], body["groupKey"], body["notification_reason"], body["groupLabels"], alerts


def test_each_receiver_gets_what_alertmanager_sends(tmp_path: Path, sink: Receiver) -> None:
    with real_alertmanager(tmp_path, CONFIG.format(url=sink.url)) as real:
        theirs = run_real(real, lambda path: [said(body) for _, body in sink.at(path)])
    ours = run_ours(tmp_path)
    for path in PATHS:
        assert ours[path] == theirs[path], path
    assert [len(theirs[path]) for path in PATHS] == [3, 2, 2]


def run_real(real: Api, at: Callable[[str], list[Any]]) -> dict[str, list[Any]]:
    started = datetime.now(UTC).isoformat()

    def post(*labels: dict[str, str], over: bool = False) -> None:
        ends = {"endsAt": datetime.now(UTC).isoformat()} if over else {}
        assert real.post("/api/v2/alerts", [{"labels": one, "startsAt": started, **ends} for one in labels])[0] == 200

    def told(*counts: int) -> bool:
        return until(lambda: [len(at(path)) for path in PATHS] == list(counts))

    post(GRAVE)
    assert told(1, 1, 1)
    post(MILD)
    assert told(2, 2, 1)
    post(GRAVE, MILD, over=True)
    assert told(3, 2, 2)
    return {path: at(path) for path in PATHS}


def run_ours(folder: Path) -> dict[str, list[Any]]:
    routing = routing_of(CONFIG.format(url="http://hook.example"))
    h = House(Directory(receivers=routing.receivers, external_url="http://t.example"), folder / "ours.db")
    dispatcher = Dispatcher(
        db=h.db,
        sink=h.escalator.receive_page,
        clock=h.clock,
        changed=lambda topic, subject="": None,
        wake_incidents=lambda: (h.escalator.wake(), h.deliverer.wake())[0],
    )
    dispatcher.apply(routing)

    def alert(labels: dict[str, str], *, ends_at_ms: int = 0) -> Alert:
        return Alert(Labels(labels), {}, h.clock.now_ms(), ends_at_ms)

    async def story() -> None:
        async with h.running():
            loop = asyncio.create_task(dispatcher.run())
            grave, mild = alert(GRAVE), alert(MILD)
            await dispatcher.post([grave])
            await h.wait(1)
            await dispatcher.post([mild])
            await h.wait(3)
            over_ms = h.clock.now_ms()
            await dispatcher.post([Alert(one.labels, {}, one.starts_at_ms, over_ms) for one in (grave, mild)])
            await h.wait(3)
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            assert [(row["number"], row["state"]) for row in h.incidents()] == [(1, "resolved")]

    run_virtual(story())
    bodies = {path: [orjson.loads(one.body) for one in h.http.requests if one.url.endswith(path)] for path in PATHS}
    return {path: [said(body) for body in found] for path, found in bodies.items()}
