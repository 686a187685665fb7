"""Our alerts sent on to real Alertmanagers, as Prometheus does it.

Nothing is queued: what fires is read anew and sent again every minute with an end a few minutes ahead, what ended is sent for a
quarter of an hour. A receiver that was away, or a restart of ours, is made good by the next round; one that we never reach again
lets the alerts run out by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tocsin.clock import Clock, until_woken
from tocsin.formats.alertmanager_json import postable_alert
from tocsin.log import get_log
from tocsin.metrics import Counter
from tocsin.model.alert import Alert
from tocsin.model.httpclient import HttpClient
from tocsin.model.ports import Http, HttpError

RESEND_MS = 60_000
RESOLVED_FOR_MS = 15 * 60_000
_AHEAD_MS = 4 * RESEND_MS
_BATCH = 256

log = get_log("remote.alertmanager")
_SENT = Counter("tocsin_alertmanager_sent_total", "Alerts sent on to Alertmanagers.", ["alertmanager", "outcome"])


@dataclass(frozen=True, slots=True)
class AlertmanagerTarget:
    """One Alertmanager: `url` up to before `path`. Headers may hold credentials."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    path: str = "/api/v2/alerts"
    http: HttpClient | None = None
    """Credentials, TLS, proxy; None = nothing special."""
    rewrite: Callable[[Mapping[str, str]], dict[str, str] | None] | None = field(default=None, repr=False)
    """What is done to the labels of each alert, external labels included; None = not sent."""


@dataclass(slots=True)
class TargetState:
    """What became of the last round."""

    ok: bool = False
    message: str = ""
    last_ok_ms: int = 0


class Forwarder:
    """Sends alerts to every target; `alerts(since_ms)` gives what fires and what ended at or after `since_ms`."""

    def __init__(
        self,
        *,
        alerts: Callable[[int], Awaitable[Sequence[Alert]]],
        http: Http,
        clock: Clock,
        external_labels: Mapping[str, str] | None = None,
        http_with: Callable[[HttpClient], Http] | None = None,
    ) -> None:
        """`http_with` gives the client for a target's own settings."""
        self._alerts = alerts
        self._http = http
        self._http_with = http_with
        self._clients: dict[str, Http] = {}
        self._clock = clock
        self._external_labels = dict(external_labels or {})
        self._targets: tuple[AlertmanagerTarget, ...] = ()
        self._wake = asyncio.Event()
        self.states: dict[str, TargetState] = {}

    def apply(self, targets: Sequence[AlertmanagerTarget], external_labels: Mapping[str, str] | None = None) -> None:
        self._targets = tuple(targets)
        self._clients = {t.url: self._http_with(t.http) for t in targets if t.http is not None and self._http_with is not None}
        if external_labels is not None:
            self._external_labels = dict(external_labels)
        self.states = {target.url: self.states.get(target.url, TargetState()) for target in self._targets}
        self.wake()

    def wake(self) -> None:
        """Alerts changed: send a round now."""
        self._wake.set()

    async def run(self) -> None:
        """A round per minute and after every wake-up; never returns."""
        while True:
            self._wake.clear()
            if self._targets:
                await self.round()
            await until_woken(self._clock, self._wake, self._clock.now_ms() + RESEND_MS)

    async def round(self) -> None:
        """Send everything to everybody once; a target that fails does not keep the others waiting."""
        now_ms = self._clock.now_ms()
        alerts = await self._alerts(now_ms - RESOLVED_FOR_MS)
        entries = [self._entry(alert, now_ms) for alert in alerts]
        await asyncio.gather(*(self._send(target, _for_target(target, entries)) for target in self._targets))

    def _entry(self, alert: Alert, now_ms: int) -> dict[str, Any]:
        entry = postable_alert(alert, ends_at_ms=now_ms + _AHEAD_MS)
        return {**entry, "labels": {**self._external_labels, **entry["labels"]}}

    async def _send(self, target: AlertmanagerTarget, entries: Sequence[Mapping[str, Any]]) -> None:
        count = len(entries)
        http = self._clients.get(target.url, self._http)
        state = self.states[target.url]
        headers = {"Content-Type": "application/json", **target.headers}
        for start in range(0, count, _BATCH):
            body = orjson.dumps(entries[start : start + _BATCH])
            try:
                response = await http.request(
                    "POST", f"{target.url}{target.path}", headers=headers, body=body, timeout_s=target.timeout_s
                )
            except HttpError as error:
                self._note(target, state, str(error), count)
                return
            if not 200 <= response.status < 300:
                self._note(target, state, f"HTTP {response.status} {response.body[:200].decode(errors='replace')}", count)
                return
        state.ok, state.message, state.last_ok_ms = True, "", self._clock.now_ms()
        _SENT.inc(target.url, "ok", by=count)

    def _note(self, target: AlertmanagerTarget, state: TargetState, message: str, count: int) -> None:
        if state.ok or state.message != message:
            log.warning("cannot send alerts on", alertmanager=target.url, error=message)
        state.ok, state.message = False, message
        _SENT.inc(target.url, "failed", by=count)


def _for_target(target: AlertmanagerTarget, entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The alerts as this target gets them."""
    if target.rewrite is None:
        return list(entries)
    changed = ((entry, target.rewrite(entry["labels"])) for entry in entries)
    return [{**entry, "labels": labels} for entry, labels in changed if labels]
