"""Webhook: Alertmanager's version 4 body, signed, with a stable delivery id."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from pydantic import Field, SecretStr, field_validator

from tocsin.model.notification import Delivery, Message
from tocsin.model.ports import HttpError, HttpResponse
from tocsin.notify.channel import Channel, Io, Rate, channel, fold
from tocsin.notify.respond import from_error, retry_after_ms
from tocsin.notify.wire import webhook_body

_RETRIED = {408, 425, 429}


@channel("webhook")
class Webhook(Channel):
    """POSTs Alertmanager's webhook body (version 4) to a URL."""

    address_field: ClassVar[str] = "url"
    for_programs: ClassVar[bool] = True
    url_field: ClassVar[str] = "url"
    idempotent: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=20.0, burst=50, parallel=4)

    url: SecretStr
    secret: SecretStr = SecretStr("")
    """Signs every request: `X-Tocsin-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`."""
    next_secret: SecretStr = SecretStr("")
    """A second signing secret while the first is being replaced: both signatures are sent."""
    max_alerts: int = Field(default=0, ge=0)
    """0 = all."""
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    name: str = ""
    """Shown instead of the URL, which may hold a secret."""

    @field_validator("url")
    @classmethod
    def _http(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("expected an http or https URL")
        return value

    def lane(self) -> str:
        return f"webhook {self.name or fold(self.url.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        body = orjson.dumps(webhook_body(message, max_alerts=self.max_alerts))
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        headers |= self._headers(message, body, io.now_ms // 1000)
        try:
            response = await io.http.request(
                "POST", self.url.get_secret_value(), headers=headers, body=body, timeout_s=self.timeout_s
            )
        except HttpError as error:
            return from_error(error)
        return classify(response, io.now_ms)

    def _headers(self, message: Message, body: bytes, now_s: int) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "X-Tocsin-Delivery": message.notification.id,
            "Idempotency-Key": message.notification.id,
            "X-Tocsin-Event": f"incident.{message.state}" if message.notification.incident else message.state,
        }
        if message.silence_url:
            headers["X-Tocsin-Silence-Url"] = message.silence_url
        if message.possible_repeat:
            headers["X-Tocsin-Possible-Repeat"] = "true"
        secrets = [s.get_secret_value() for s in (self.secret, self.next_secret) if s.get_secret_value()]
        if secrets:
            headers["X-Tocsin-Signature"] = signature(secrets, now_s, body)
        return headers


def signature(secrets: list[str], now_s: int, body: bytes) -> str:
    signed = b"%d.%s" % (now_s, body)
    marks = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return ",".join([f"t={now_s}", *marks])


def classify(response: HttpResponse, now_ms: int) -> Delivery:
    """2xx is taken; 408, 425, 429 and 5xx come again; anything else will not get better."""
    status = response.status
    if 200 <= status < 300:
        return Delivery.accepted(status=status, delivered=True)
    text = _excerpt(response)
    if status in _RETRIED or status >= 500:
        return Delivery.retry(f"HTTP {status}{text}", after_ms=retry_after_ms(response, now_ms), status=status)
    return Delivery.permanent(f"HTTP {status}{text}", status=status)


def _excerpt(response: HttpResponse) -> str:
    text: Any = " ".join(response.body[:200].decode(errors="replace").split())
    return f": {text}" if text else ""
