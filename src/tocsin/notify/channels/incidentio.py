"""incident.io: its alert source for Alertmanager."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from pydantic import Field, SecretStr

from tocsin.model.notification import Delivery, Message, NotificationKind
from tocsin.model.ports import HttpError
from tocsin.notify.channel import Channel, Io, Rate, channel, fold
from tocsin.notify.render import headline
from tocsin.notify.respond import from_error, json_of, judged
from tocsin.notify.wire import webhook_body

_MOST_BYTES = 512 * 1024


@channel("incidentio")
class IncidentIo(Channel):
    """Posts Alertmanager's data to an alert source. Acknowledgements are not sent: incident.io has its own."""

    url_field: ClassVar[str] = "url"
    for_programs: ClassVar[bool] = True
    address_field: ClassVar[str] = "url"
    idempotent: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=10, parallel=2)

    url: SecretStr
    alert_source_token: SecretStr = SecretStr("")
    max_alerts: int = Field(default=0, ge=0)
    """0 = all."""
    timeout_s: float = Field(default=10.0, gt=0, le=60)

    def lane(self) -> str:
        return f"incidentio {fold(self.url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        if message.notification.kind is NotificationKind.ACKNOWLEDGED:
            return Delivery.accepted(reason="incident.io takes firing and resolved alerts only", delivered=True)
        headers = {"Content-Type": "application/json"}
        if token := self.alert_source_token.get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        url, body = self.url.get_secret_value(), orjson.dumps(self.body(message, io.host))
        try:
            response = await io.http.request("POST", url, headers=headers, body=body, timeout_s=self.timeout_s)
        except HttpError as error:
            return from_error(error)
        answer = json_of(response)
        if response.status in (200, 201, 202) and (answer or not response.body.strip()):
            return Delivery.accepted(str(answer.get("deduplication_key", "")), status=response.status)
        reason = ": ".join(str(answer[key]) for key in ("message", "error", "errors") if answer.get(key))
        return judged(response, io.now_ms, "incident.io", reason=reason)

    def body(self, message: Message, host: str) -> dict[str, Any]:
        """Alertmanager's data, below 512 KiB: alerts are left out first, and counted."""
        body = {**webhook_body(message, max_alerts=self.max_alerts), "version": "1"}
        if not body["alerts"]:
            body |= _test_alert(message, host)
        while len(orjson.dumps(body)) > _MOST_BYTES and len(body["alerts"]) > 1:
            kept = len(body["alerts"]) // 2
            body["truncatedAlerts"] += len(body["alerts"]) - kept
            body["alerts"] = body["alerts"][:kept]
        return body


def _test_alert(message: Message, host: str) -> dict[str, Any]:
    """A test has no alert of its own: one that has already ended, so that nothing stays open."""
    labels = {"alertname": headline(message), "instance": host}
    alert = {
        "status": "resolved",
        "labels": labels,
        "annotations": {},
        "generatorURL": "",
        "fingerprint": message.notification.id[:16],
    }
    return {
        "alerts": [alert],
        "status": "resolved",
        "groupLabels": labels,
        "groupKey": f"tocsin/{host}/{message.notification.id}",
    }
