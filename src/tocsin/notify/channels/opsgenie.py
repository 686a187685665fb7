"""Opsgenie: Alert API. One alert per group, by an alias that never changes; closed at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tocsin.model.notification import Delivery, DeliveryOutcome, Message, NotificationKind
from tocsin.notify.channel import Io, Rate, channel, fold
from tocsin.notify.compatible import Compatible, Words, alias, cut, items_of
from tocsin.notify.render import headline
from tocsin.notify.respond import json_of, judged, post_json
from tocsin.notify.wire import webhook_body

_LIMITS = {"message": 130, "description": 15_000, "source": 100, "note": 25_000, "entity": 512}
_MOST_TAGS, _TAG, _MOST_RESPONDERS, _DETAILS = 20, 50, 50, 8_000


class Responder(BaseModel):
    """Whom Opsgenie tells: one of `id`, `name` and `username`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = ""
    name: str = ""
    username: str = ""
    type: str = ""
    """team, teams (names between commas), user, escalation, schedule; or a template."""

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        known = value.lower() in ("team", "teams", "user", "escalation", "schedule")
        if not known and "{{" not in value:
            raise ValueError("expected team, teams, user, escalation or schedule")
        return value.lower() if known else value


@channel("opsgenie")
class Opsgenie(Compatible):
    """Creates, acknowledges and closes an alert of Opsgenie or Jira Service Management."""

    address_field: ClassVar[str] = "api_key"
    for_programs: ClassVar[bool] = True
    idempotent: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(per_s=5.0, burst=20, parallel=2)
    templated: ClassVar[tuple[str, ...]] = (
        "message", "description", "source", "details", "entity", "responders_texts", "actions", "tags", "note", "priority",
    )  # fmt: skip

    api_key: SecretStr
    api_url: str = "https://api.opsgenie.com/"
    message: str = '{{ template "opsgenie.default.message" . }}'
    description: str = '{{ template "opsgenie.default.description" . }}'
    source: str = '{{ template "opsgenie.default.source" . }}'
    details: Mapping[str, str] = Field(default_factory=dict)
    entity: str = ""
    responders: tuple[Responder, ...] = ()
    actions: str = ""
    tags: str = ""
    note: str = ""
    priority: str = ""
    """P1 to P5."""
    update_alerts: bool = False
    """Changes message and description of an alert that is open."""

    @property
    def responders_texts(self) -> list[str]:
        return [text for one in self.responders for text in (one.id, one.name, one.username, one.type)]

    def lane(self) -> str:
        return f"opsgenie {fold(self.api_key.get_secret_value())}"

    async def send(self, message: Message, io: Io) -> Delivery:
        words, name, kind = self.words(message), alias(message, io.host), message.notification.kind
        if kind is NotificationKind.RESOLVED:
            return await self._close(name, words, io)
        created = await self._call("POST", "v2/alerts", self.alert(message, words, name), io)
        if created.outcome is not DeliveryOutcome.ACCEPTED:
            return created
        if kind is NotificationKind.TEST:
            # A test must not leave an open alert behind.
            return await self._close(name, words, io)
        if kind is NotificationKind.ACKNOWLEDGED:
            news = {"source": "Tocsin", "note": cut(message.lines[0] if message.lines else headline(message), _LIMITS["note"])}
            return await self._call("POST", f"v2/alerts/{name}/acknowledge?identifierType=alias", news, io)
        return await self._update(message, words, name, io) if self.update_alerts else created

    async def _close(self, name: str, words: Words, io: Io) -> Delivery:
        source = cut(words.value(self.source), _LIMITS["source"])
        return await self._call("POST", f"v2/alerts/{name}/close?identifierType=alias", {"source": source}, io)

    async def _update(self, message: Message, words: Words, name: str, io: Io) -> Delivery:
        whole = self.alert(message, words, name)
        last = Delivery.accepted()
        for part in ("message", "description"):
            body = {part: whole[part]} if whole.get(part) else {}
            last = await self._call("PUT", f"v2/alerts/{name}/{part}?identifierType=alias", body, io)
            if last.outcome is not DeliveryOutcome.ACCEPTED:
                break
        return last

    async def _call(self, method: str, path: str, body: dict[str, Any], io: Io) -> Delivery:
        headers = {"Authorization": f"GenieKey {self.api_key.get_secret_value()}", "Content-Type": "application/json"}
        response = await post_json(io.http, f"{self.api_url.rstrip('/')}/{path}", body, headers=headers, method=method)
        if isinstance(response, Delivery):
            return response
        answer = json_of(response)
        if 200 <= response.status < 300 and answer:
            return Delivery.accepted(str(answer.get("requestId", "")), status=response.status, reason="queued by Opsgenie")
        return judged(response, io.now_ms, "Opsgenie", reason=str(answer.get("message", "")))

    def alert(self, message: Message, words: Words, name: str) -> dict[str, Any]:
        """The alert's body, within Opsgenie's limits."""
        details = {**webhook_body(message)["commonLabels"], **{key: words.value(text) for key, text in self.details.items()}}
        texts = {
            "message": words.title(self.message),
            "description": words.body(self.description),
            "source": words.value(self.source),
            "note": words.value(self.note),
            "entity": words.value(self.entity),
        }
        body: dict[str, Any] = {
            "alias": name,
            "details": _within(details, _DETAILS),
            "priority": words.value(self.priority),
            "responders": self._responders(words),
            "tags": [cut(tag, _TAG) for tag in items_of(words.value(self.tags))[:_MOST_TAGS]],
            "actions": [cut(action, _TAG) for action in items_of(words.value(self.actions))[:10]],
            **{key: cut(text, _LIMITS[key]) for key, text in texts.items()},
        }
        always = ("alias", "message", "details", "source")
        return {key: value for key, value in body.items() if value or key in always}

    def _responders(self, words: Words) -> list[dict[str, str]]:
        out: list[dict[str, str]] = []
        for one in self.responders:
            filled = {key: text for key, text in words.values(one.model_dump()).items() if text}
            if filled.get("type") == "teams":
                out += [{"name": name, "type": "team"} for name in items_of(filled.get("name", ""))]
            elif filled:
                out.append(filled)
        return out[:_MOST_RESPONDERS]


def _within(details: Mapping[str, str], limit: int) -> dict[str, str]:
    """The details that fit, in their order."""
    out: dict[str, str] = {}
    for key, value in details.items():
        limit -= len(key) + len(value)
        if limit < 0:
            break
        out[key] = value
    return out
