"""PagerDuty: Events API v2. One PagerDuty alert per incident, by a dedup key that never changes."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from pydantic import Field, SecretStr

from tocsin.model.notification import Delivery, DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.render import alert_lines
from tocsin.notify.respond import json_of, judged, post_json
from tocsin.notify.texts import Worded
from tocsin.notify.wire import stamp

_SEVERITIES = {"critical": "critical", "error": "error", "warning": "warning", "info": "info"}
_SUMMARY_LIMIT, _BODY_LIMIT = 1024, 500_000
_ACTIONS = {NotificationKind.ACKNOWLEDGED: "acknowledge", NotificationKind.RESOLVED: "resolve"}


@channel("pagerduty")
class PagerDuty(Worded):
    """Triggers, acknowledges and resolves an alert of a PagerDuty service."""

    address_field: ClassVar[str] = "routing_key"
    for_programs: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    # About 120 events a minute and integration key.
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=20, parallel=2)

    routing_key: SecretStr
    """The integration key of an Events API v2 integration."""
    url: str = "https://events.pagerduty.com/v2/enqueue"
    """The EU region uses https://events.eu.pagerduty.com/v2/enqueue."""
    component: str = Field(default="", max_length=255)

    def lane(self) -> str:
        return f"pagerduty {fold(self.routing_key.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        event = self.event(message, io.host)
        if event["event_action"] == "acknowledge" and not io.refs.get("triggered"):
            # PagerDuty drops an acknowledgement of what it does not know.
            first = await self._enqueue(self.event(message, io.host, action="trigger"), io)
            if first.outcome is not DeliveryOutcome.ACCEPTED:
                return first
        delivery = await self._enqueue(event, io)
        if delivery.outcome is DeliveryOutcome.ACCEPTED:
            io.refs["triggered"] = event["event_action"] != "resolve"
        if message.notification.kind is NotificationKind.TEST and delivery.outcome is DeliveryOutcome.ACCEPTED:
            # A test must not leave an open alert behind.
            return await self._enqueue({**self.event(message, io.host), "event_action": "resolve"}, io)
        return delivery

    async def _enqueue(self, event: dict[str, Any], io: Io) -> Delivery:
        response = await post_json(io.http, self.url, event)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if response.status == 202 and answer.get("status") == "success":
            return Delivery.accepted(str(answer.get("dedup_key", "")), status=202, reason="queued by PagerDuty")
        errors = ", ".join(str(error) for error in answer.get("errors", ()))
        return judged(response, io.now_ms, "PagerDuty", reason=errors)

    def event(self, message: Message, host: str, *, action: str = "") -> dict[str, Any]:
        """The body, within PagerDuty's limits."""
        note = message.notification
        key = f"tocsin/{host}/{note.incident}" if note.incident else f"tocsin/{host}/{note.id}"
        event: dict[str, Any] = {
            "routing_key": self.routing_key.get_secret_value(),
            "event_action": action or _ACTIONS.get(note.kind, "trigger"),
            "dedup_key": key[:255],
        }
        if event["event_action"] != "trigger":
            return event
        links = [("Incident", message.incident_url), ("Runbook", message.runbook_url), ("Silence", message.silence_url)]
        event |= {
            "client": "Tocsin",
            "client_url": message.incident_url or None,
            "links": [{"href": url, "text": text} for text, url in links if url],
            # PagerDuty shows images that come by https, from the browser of who looks.
            "images": [{"src": message.chart_url, "alt": "Chart"}] if message.chart_url.startswith("https://") else [],
            "payload": {
                "summary": _cut(self.worded("description", message) or message.title, _SUMMARY_LIMIT),
                "source": str(dict(message.fields).get("instance") or dict(message.fields).get("service") or "tocsin")[:255],
                "severity": _SEVERITIES.get(message.severity, "error"),
                "timestamp": stamp(message.started_ms),
                "component": self.component or None,
                "group": str(dict(message.fields).get("service", ""))[:255] or None,
                "class": str(dict(message.fields).get("alertname", ""))[:255] or None,
                "custom_details": {
                    "what": list(message.lines),
                    "alerts": alert_lines(message),
                    "labels": dict(message.fields),
                    "why": message.why,
                    **self._own_details(message),
                },
            },
        }
        if len(orjson.dumps(event)) > _BODY_LIMIT:
            event["payload"]["custom_details"] = {"note": "details left out: longer than PagerDuty takes"}
        return event

    def _own_details(self, message: Message) -> dict[str, str]:
        named = [part for part in self.texts if part.startswith("details.")]
        return {part.removeprefix("details."): text for part in named if (text := self.worded(part, message))}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
