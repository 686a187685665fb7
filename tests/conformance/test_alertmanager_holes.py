"""The holes of Alertmanager: the same stimulus into the real one, which loses the page, and into ours, which does not.

The real one runs in real time with short intervals, ours on virtual time. H6 to H11 are the delivery's, in
test_alertmanager_delivery_holes.py. The list of all stands in docs/reference/routing.md.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.alerts.conftest import Story, routing
from tests.conformance.alertmanager_peer import Api, real_alertmanager

pytestmark = [pytest.mark.peer, pytest.mark.slow]

CONFIG = """
route: {{receiver: r, group_by: [alertname], group_wait: {wait}, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: r, webhook_configs: [{{url: "{url}"}}]}}]
"""


class Sink:
    """A webhook receiver that remembers; `answers` are the next statuses, then 200."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[int] = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = sink.answers.pop(0) if sink.answers else 200
                if status == 200:
                    sink.bodies.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()

    @property
    def statuses(self) -> list[str]:
        return [body["status"] for body in self.bodies]


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path / "ours.db", routing())
    yield story
    story.db.close()


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether the condition came true in time. Only the real program's own clock is waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def fire(real: Api, *, ended: bool = False) -> None:
    now = datetime.now(UTC)
    entry: dict[str, Any] = {"labels": {"alertname": "A"}}
    if ended:
        entry["endsAt"] = now.isoformat()
    assert real.post("/api/v2/alerts", [entry])[0] == 200


def silence(real: Api) -> str:
    now = datetime.now(UTC)
    body = {
        "matchers": [{"name": "alertname", "value": "A", "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "t",
        "comment": "c",
    }
    return str(real.post("/api/v2/silences", body)[1]["silenceID"])


def test_h1_resolved_under_a_silence_then_fires_again(tmp_path: Path, sink: Sink, ours: Story) -> None:
    with real_alertmanager(tmp_path, CONFIG.format(wait="100ms", url=sink.url)) as real:
        fire(real)
        assert until(lambda: sink.statuses == ["firing"])
        silence_id = silence(real)
        fire(real, ended=True)
        time.sleep(2.5)
        real.call("DELETE", f"/api/v2/silence/{silence_id}")
        time.sleep(1.5)
        fire(real)
        time.sleep(4)
        assert sink.statuses == ["firing"], "the real one tells neither the end nor the second firing"
    ours.fire()
    ours.at(20)
    made = ours.silence("alertname=A", until=5000)
    ours.at(30).resolve()
    ours.at(60)
    ours.unsilence(made)
    ours.at(70).fire()
    ours.at(100)
    assert [reason for _, reason, _ in ours.told()] == ["FIRST", "SUPPRESSED", "ALL_RESOLVED", "FIRST"]


def test_h2_fired_and_resolved_while_the_receiver_was_down(tmp_path: Path, sink: Sink, ours: Story) -> None:
    sink.answers = [500] * 1000
    with real_alertmanager(tmp_path, CONFIG.format(wait="100ms", url=sink.url)) as real:
        fire(real)
        until(lambda: len(sink.answers) < 998)
        fire(real, ended=True)
        time.sleep(11)  # its budget of attempts is one flush: ten seconds
        sink.answers = []
        time.sleep(3)
        assert sink.statuses == [], "the real one never speaks of it again"
    ours.fire()
    ours.at(12).resolve()
    ours.at(200)
    assert [reason for _, reason, _ in ours.told()] == ["FIRST", "ALL_RESOLVED"], "both are handed to the durable outbox"


def test_h3_a_restart_during_group_wait(tmp_path: Path, sink: Sink, ours: Story) -> None:
    config = CONFIG.format(wait="2s", url=sink.url)
    with real_alertmanager(tmp_path, config) as real:
        fire(real)
        assert until(lambda: len(real.get("/api/v2/alerts")[1]) == 1)
    with real_alertmanager(tmp_path, config):
        time.sleep(4)
        assert sink.statuses == [], "the real one lost an alert that it had accepted"
    ours.fire()
    ours.at(4)
    ours.restart(down=2)
    ours.at(60)
    assert [reason for _, reason, _ in ours.told()] == ["FIRST"]


def test_h4_a_silence_and_kill_9(tmp_path: Path, sink: Sink, ours: Story) -> None:
    config = CONFIG.format(wait="100ms", url=sink.url)
    with real_alertmanager(tmp_path, config) as real:
        silence(real)
        assert len(real.get("/api/v2/silences")[1]) == 1
    with real_alertmanager(tmp_path, config) as real:
        assert real.get("/api/v2/silences")[1] == [], "the real one lost a silence that it had accepted"
    ours.silence("alertname=A", until=5000)
    ours.restart()
    ours.fire()
    ours.at(100)
    assert ours.told() == []


def test_h5_kill_9_after_the_page(tmp_path: Path, sink: Sink, ours: Story) -> None:
    config = CONFIG.format(wait="100ms", url=sink.url)
    with real_alertmanager(tmp_path, config) as real:
        fire(real)
        assert until(lambda: sink.statuses == ["firing"])
    with real_alertmanager(tmp_path, config) as real:
        fire(real)
        assert until(lambda: sink.statuses == ["firing", "firing"]), "the real one tells the same firing twice"
    ours.report(ends=240)
    ours.at(15)
    ours.restart()
    ours.report(ends=260)
    ours.at(200)
    assert [reason for _, reason, _ in ours.told()] == ["FIRST"]
