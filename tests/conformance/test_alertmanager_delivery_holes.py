"""H6 to H11 of docs/reference/routing.md: what Alertmanager makes of a slow, busy or refusing receiver, and what we do.

The real one runs in real time with short intervals, ours on virtual time. H1 to H5 are in test_alertmanager_holes.py.
"""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.alerts.conftest import Story, routing
from tests.conformance.alertmanager_peer import Api, real_alertmanager
from tests.conformance.test_alertmanager_holes import until
from tests.fakes.house import HOOK_URL, House, alert, directory, page, person, policy
from tests.fakes.ports import Request
from tests.fakes.virtual import run_virtual

from tocsin.model.alert import Alert, PageReason
from tocsin.model.labels import Labels
from tocsin.model.ports import HttpResponse
from tocsin.model.route import Destination
from tocsin.state import intake

pytestmark = [pytest.mark.peer, pytest.mark.slow]


class Receiver:
    """A webhook receiver: what came when and what was answered; `statuses` and `delay_s` by path."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float, dict[str, Any]]] = []
        self.statuses: dict[str, int] = {}
        self.delay_s: dict[str, float] = {}
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.seen.append((self.path, time.monotonic(), body))
                time.sleep(receiver.delay_s.get(self.path, 0))
                self.send_response(receiver.statuses.get(self.path, 200))
                self.send_header("Retry-After", "1")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at_s, body) for where, at_s, body in self.seen if where == path]


@pytest.fixture
def sink() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def config(sink: Receiver, *paths: str, group_by: str = "alertname", interval: str = "1s") -> str:
    hooks = ", ".join(f'{{url: "{sink.url}{path}"}}' for path in paths)
    route = f"{{receiver: r, group_by: [{group_by}], group_wait: 100ms, group_interval: {interval}, repeat_interval: 1h}}"
    return f"route: {route}\nreceivers: [{{name: r, webhook_configs: [{hooks}]}}]\n"


def fire(real: Api, **labels: str) -> None:
    annotations = {"text": labels.pop("text", "")}
    assert real.post("/api/v2/alerts", [{"labels": {"alertname": "A", **labels}, "annotations": annotations}])[0] == 200


def hook(name: str) -> Destination:
    return Destination("webhook", {"url": f"{HOOK_URL}/{name}"}, index=int(name))


def ours(tmp_path: Path, *destinations: Destination) -> House:
    return House(directory(destinations=destinations, severities=("info", "warning", "critical")), tmp_path / "ours.db")


def test_h6_a_receiver_that_says_wait(tmp_path: Path, sink: Receiver) -> None:
    sink.statuses["/a"] = 429
    with real_alertmanager(tmp_path, config(sink, "/a", interval="4s")) as real:
        fire(real)
        assert until(lambda: len(sink.at("/a")) == 1)
        sink.statuses["/a"] = 200
        time.sleep(2.5)
        assert len(sink.at("/a")) == 1, "the real one does not come back after Retry-After, but at the next group_interval"

    async def story() -> None:
        async with ours(tmp_path, hook("0")).running() as h:
            h.http.answers.append(HttpResponse(429, {"retry-after": "1"}, b""))
            await h.page(page(alert()))
            await h.wait(4)
            first, second = [request.at_s for request in h.http.requests]
            assert 1 <= second - first < 4, "told as soon as the receiver wants it"

    run_virtual(story())


def test_h7_a_slow_neighbour(tmp_path: Path, sink: Receiver) -> None:
    sink.delay_s["/slow"] = 4.0
    with real_alertmanager(tmp_path, config(sink, "/slow", "/quick")) as real:
        fire(real, n="1")
        assert until(lambda: len(sink.at("/quick")) == 1)
        fire(real, n="2")
        told_s = time.monotonic()
        assert until(lambda: len(sink.at("/quick")) == 2)
        assert sink.at("/quick")[1][0] - told_s > 2.0, "the real one keeps the quick receiver waiting for the slow one"

    async def story() -> None:
        async with ours(tmp_path, hook("0"), hook("1")).running() as h:
            h.http.route = lambda request: "hang" if request.url.endswith("/0") else HttpResponse(200, {}, b"ok")
            await h.page(page(alert(n="1")))
            await h.wait(1)
            await h.page(page(alert(n="1"), alert(n="2"), reason=PageReason.NEW_ALERTS))
            await h.wait(1.5)
            assert len(to(h, "1")) == 2, "each destination has a queue of its own"

    run_virtual(story())


def to(h: House, name: str) -> list[Request]:
    return [request for request in h.http.requests if request.url.endswith(f"/{name}")]


def test_h8_a_storm(tmp_path: Path, sink: Receiver) -> None:
    with real_alertmanager(tmp_path, config(sink, "/a", group_by="'...'")) as real:
        alerts = [{"labels": {"alertname": "A", "n": str(n)}} for n in range(60)]
        assert real.post("/api/v2/alerts", alerts)[0] == 200
        assert until(lambda: len(sink.at("/a")) == 60), "the real one tells each of sixty groups"

    async def story() -> None:
        people = directory(person("ana", "email"), policy=policy(["ana"], delay_ms=3_600_000))
        async with House(people, tmp_path / "ours.db").running() as h:
            for n in range(60):
                await h.page(page(alert(f"A{n}"), group=f"g{n}"))
            await h.wait(240)
            assert h.mails_to("ana") <= 3, "one page, then one that speaks for the rest"
            assert len(h.incidents("open")) == 21, "twenty incidents and the storm that holds the others"

    run_virtual(story())


def test_h9_annotations_that_change_are_no_news(tmp_path: Path, sink: Receiver) -> None:
    with real_alertmanager(tmp_path, config(sink, "/a")) as real:
        fire(real, text="one")
        assert until(lambda: len(sink.at("/a")) == 1)
        fire(real, text="two")
        time.sleep(2.5)
        assert len(sink.at("/a")) == 1
    story = Story(tmp_path / "ours.db", routing())
    for text in ("one", "two"):
        given = Alert(Labels({"alertname": "A"}), {"text": text}, story.clock.now_ms(), source="rule:r")
        story.db.write_now(lambda tx, given=given: intake.put(tx, [given], now_ms=story.clock.now_ms()))
        story.at(100 if text == "one" else 300)
    assert [reason for _, reason, _ in story.told()] == ["FIRST"]
    story.db.close()


def test_h10_a_severity_that_rises(tmp_path: Path, sink: Receiver) -> None:
    with real_alertmanager(tmp_path, config(sink, "/a")) as real:
        fire(real, severity="warning")
        assert until(lambda: len(sink.at("/a")) == 1)
        fire(real, severity="critical")
        assert until(lambda: len(sink.at("/a")) == 2)
        severities = {one["labels"]["severity"] for one in sink.at("/a")[1][1]["alerts"]}
        assert severities == {"warning", "critical"}, "for the real one it is one more alert"

    async def story() -> None:
        people = directory(person("ana", "email"), policy=policy(["ana"]), severities=("info", "warning", "critical"))
        async with House(people, tmp_path / "ours.db").running() as h:
            await h.page(page(alert(severity="warning")))
            await h.wait(1)
            await h.command("incident.acknowledge")
            await h.page(page(alert(severity="warning"), alert(severity="critical"), reason=PageReason.NEW_ALERTS))
            await h.wait(60)
            (row,) = h.incidents("open")
            assert (row["state"], row["severity"]) == ("triggered", "critical"), "an event of its own: it is open again"
            assert h.mails_to("ana") >= 2

    run_virtual(story())


def test_h11_a_receiver_that_refuses(tmp_path: Path, sink: Receiver) -> None:
    sink.statuses["/a"] = 400
    with real_alertmanager(tmp_path, config(sink, "/a")) as real:
        fire(real)
        assert until(lambda: len(sink.at("/a")) >= 3), "the real one says the same again at every group_interval"

    async def story() -> None:
        async with ours(tmp_path, hook("0")).running() as h:
            h.http.default = HttpResponse(400, {}, b"no such hook")
            await h.page(page(alert()))
            await h.wait(600)
            assert len(h.http.requests) == 1, "what was refused for good is not repeated"
            (row,) = [row for row in h.log() if row["channel"] == "webhook" and row["kind"] == "page"]
            assert row["state"] == "failed" and "no such hook" in row["state_reason"]
            assert "undelivered" in " ".join(h.story()), h.story()

    run_virtual(story())
