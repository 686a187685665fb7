"""Splunk On-Call, formerly VictorOps: its REST endpoint. One entity per group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator

from tocsin.model.notification import Delivery, DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.compatible import Compatible, Words, alias, cut
from tocsin.notify.respond import json_of, judged, post_json

_STATE_MESSAGE = 20_480
_FIRING = {"INFO", "WARNING", "CRITICAL"}
_RESERVED = {
    "routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "entity_id", "entity_state",
}  # fmt: skip


@channel("victorops")
class VictorOps(Compatible):
    """Posts to Splunk On-Call's REST endpoint."""

    address_field: ClassVar[str] = "routing_key"
    for_programs: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=2.0, burst=10, parallel=2)
    templated: ClassVar[tuple[str, ...]] = (
        "routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "custom_fields",
    )  # fmt: skip

    api_key: SecretStr
    routing_key: str = Field(min_length=1)
    api_url: str = "https://alert.victorops.com/integrations/generic/20131114/alert/"
    message_type: str = "CRITICAL"
    """CRITICAL, WARNING or INFO while it fires; anything else counts as CRITICAL."""
    state_message: str = '{{ template "victorops.default.state_message" . }}'
    entity_display_name: str = '{{ template "victorops.default.entity_display_name" . }}'
    monitoring_tool: str = '{{ template "victorops.default.monitoring_tool" . }}'
    custom_fields: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("custom_fields")
    @classmethod
    def _own(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if taken := sorted(_RESERVED & set(value)):
            raise ValueError(f"{', '.join(taken)} is a field of its own and cannot be a custom field")
        return value

    def lane(self) -> str:
        return f"victorops {fold(self.api_key.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        words = self.words(message)
        event = self.event(message, words, io.host)
        base = self.api_url if self.api_url.endswith("/") else self.api_url + "/"
        path = f"{quote(self.api_key.get_secret_value(), safe='')}/{quote(words.value(self.routing_key), safe='')}"
        delivery = await self._post(f"{base}{path}", event, io)
        if message.notification.kind is NotificationKind.TEST and delivery.outcome is DeliveryOutcome.ACCEPTED:
            # A test must not leave anything behind.
            return await self._post(f"{base}{path}", {**event, "message_type": "RECOVERY"}, io)
        return delivery

    async def _post(self, url: str, event: Mapping[str, str], io: Io) -> Delivery:
        response = await post_json(io.http, url, event, headers={"Content-Type": "application/json"})
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if 200 <= response.status < 300 and answer.get("result") == "success":
            return Delivery.accepted(str(answer.get("entity_id", "")), status=response.status)
        return judged(response, io.now_ms, "Splunk On-Call", reason=str(answer.get("messages", "")))

    def event(self, message: Message, words: Words, host: str) -> dict[str, str]:
        """The body, within the limits of Splunk On-Call."""
        own = {name: words.value(text) for name, text in self.custom_fields.items()}
        return {
            "message_type": self._type(message.notification.kind, words),
            "entity_id": alias(message, host),
            "entity_display_name": words.title(self.entity_display_name),
            "state_message": cut(words.body(self.state_message), _STATE_MESSAGE),
            "monitoring_tool": words.value(self.monitoring_tool, otherwise="Tocsin"),
            **own,
        }

    def _type(self, kind: NotificationKind, words: Words) -> str:
        if kind is NotificationKind.RESOLVED:
            return "RECOVERY"
        if kind is NotificationKind.ACKNOWLEDGED:
            return "ACKNOWLEDGEMENT"
        if kind is NotificationKind.TEST:
            return "INFO"
        wanted = words.value(self.message_type)
        return wanted if wanted in _FIRING else "CRITICAL"
