"""Our alerts sent on to an Alertmanager."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import pytest
from tests.conformance.alertmanager_peer import real_alertmanager

from tocsin.clock import SystemClock
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels
from tocsin.model.ports import HttpError, HttpResponse
from tocsin.remote.alertmanager import AlertmanagerTarget, Forwarder


class RecordingHttp:
    """Takes every request; hosts named in `down` do not answer."""

    def __init__(self, down: Sequence[str] = ()) -> None:
        self.down = set(down)
        self.requests: list[tuple[str, Mapping[str, str], list[dict[str, object]]]] = []

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", timeout_s: float = 10.0
    ) -> HttpResponse:
        if any(host in url for host in self.down):
            raise HttpError("connection refused", sent=False)
        self.requests.append((url, headers or {}, orjson.loads(body)))
        return HttpResponse(200, {}, b"")


class RealHttp:
    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", timeout_s: float = 10.0
    ) -> HttpResponse:
        def send() -> HttpResponse:
            asked = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
            try:
                with urllib.request.urlopen(asked, timeout=timeout_s) as response:
                    return HttpResponse(response.status, {}, response.read())
            except urllib.error.HTTPError as error:
                return HttpResponse(error.code, {}, error.read())

        return await asyncio.to_thread(send)


def alerts_of(*alerts: Alert) -> object:
    async def read(since_ms: int) -> Sequence[Alert]:
        return [a for a in alerts if a.ends_at_ms == 0 or a.ends_at_ms >= since_ms]

    return read


NOW_MS = SystemClock().now_ms()
FIRING = Alert(Labels({"alertname": "A"}), {"summary": "s"}, NOW_MS - 60_000, source="rule:a", generator_url="http://tocsin/a")
ENDED = Alert(Labels({"alertname": "B"}), {}, NOW_MS - 60_000, ends_at_ms=NOW_MS - 1000, source="rule:b")


def forwarder(http: object, *alerts: Alert) -> Forwarder:
    return Forwarder(alerts=alerts_of(*alerts), http=http, clock=SystemClock(), external_labels={"site": "lab"})  # type: ignore[arg-type]


async def test_a_target_that_is_down_keeps_nobody_waiting_and_is_known() -> None:
    http = RecordingHttp(down=["first"])
    sending = forwarder(http, FIRING, ENDED)
    sending.apply([AlertmanagerTarget("http://first:9093"), AlertmanagerTarget("http://second:9093", {"Authorization": "x"})])
    await sending.round()
    assert [(url, headers["Authorization"]) for url, headers, _ in http.requests] == [("http://second:9093/api/v2/alerts", "x")]
    assert [entry["labels"] for entry in http.requests[0][2]] == [
        {"alertname": "A", "site": "lab"},
        {"alertname": "B", "site": "lab"},
    ]
    assert (sending.states["http://first:9093"].ok, sending.states["http://second:9093"].ok) == (False, True)
    http.down.clear()
    await sending.round()
    assert sending.states["http://first:9093"].ok


async def test_many_alerts_go_in_batches() -> None:
    http = RecordingHttp()
    many = [Alert(Labels({"alertname": "A", "n": str(n)}), {}, NOW_MS, source="rule:a") for n in range(600)]
    sending = forwarder(http, *many)
    sending.apply([AlertmanagerTarget("http://one")])
    await sending.round()
    assert [len(body) for _, _, body in http.requests] == [256, 256, 88]


@pytest.mark.peer
async def test_the_real_alertmanager_shows_what_was_sent(tmp_path: Path) -> None:
    with real_alertmanager(tmp_path, "{route: {receiver: r}, receivers: [{name: r}]}") as real:
        sending = forwarder(RealHttp(), FIRING, ENDED)
        sending.apply([AlertmanagerTarget(real.url)])
        await sending.round()
        assert sending.states[real.url].ok, sending.states[real.url].message
        shown = (await asyncio.to_thread(real.get, "/api/v2/alerts"))[1]
        assert [alert["labels"] for alert in shown] == [{"alertname": "A", "site": "lab"}]
        assert shown[0]["generatorURL"] == "http://tocsin/a"
