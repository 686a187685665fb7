"""Fake webhook receiver: checks Alertmanager's version 4 body and our signature. `python -m tests.fakes.webhook --port N`."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from tests.fakes.provider import Answer, Broken, Provider, Seen, json_body, main

_KEYS = {
    "receiver", "status", "alerts", "notification_reason", "groupLabels", "commonLabels", "commonAnnotations", "routeLabels",
    "externalURL", "version", "groupKey", "truncatedAlerts",
}  # fmt: skip
_ALERT_KEYS = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}


class FakeWebhook(Provider):
    """A receiver written for Alertmanager. Folds repeated delivery ids, as a careful one does."""

    name = "webhook"

    def __init__(self, *, secret: str = "", **more: Any) -> None:
        super().__init__(**more)
        self.secret = secret
        self.deliveries: dict[str, int] = {}

    def handle(self, seen: Seen) -> Answer:
        body = json_body(seen)
        if set(body) != _KEYS or body["version"] != "4" or body["status"] not in ("firing", "resolved"):
            raise Broken(f"not a version 4 body: {sorted(set(body) ^ _KEYS)}", Answer(400))
        for alert in body["alerts"]:
            if set(alert) != _ALERT_KEYS or (alert["status"] == "firing") != alert["endsAt"].startswith("0001-"):
                raise Broken("not a version 4 alert", Answer(400))
        if self.secret:
            self._check_signature(seen)
        delivery = seen.headers.get("x-tocsin-delivery", "")
        if not delivery:
            raise Broken("no delivery id", Answer(400))
        self.deliveries[delivery] = self.deliveries.get(delivery, 0) + 1
        return Answer(200, b"", parsed=body)

    def _check_signature(self, seen: Seen) -> None:
        parts = dict(part.split("=", 1) for part in seen.headers.get("x-tocsin-signature", "").split(",") if "=" in part)
        signed = f"{parts.get('t', '')}.{seen.body}".encode()
        if not hmac.compare_digest(parts.get("v1", ""), hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()):
            raise Broken("wrong signature", Answer(401))


if __name__ == "__main__":
    main(FakeWebhook)
