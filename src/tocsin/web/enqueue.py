"""`/v2/enqueue`: events in the shape of PagerDuty's Events API v2 become alerts.

The routing key is an API token with the role sender (or higher): a program that can page PagerDuty pages Tocsin by changing
the URL and the key. Alerts are known by their dedup key; an acknowledge goes to the incident that holds the alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import pydantic
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from tocsin.formats.alertmanager_json import alerts_to_command
from tocsin.model.alert import Alert
from tocsin.model.incident import IncidentState
from tocsin.model.labels import Labels
from tocsin.state.schema import alerts, incident_alerts, incidents
from tocsin.web.answers import dumps
from tocsin.web.auth import Authenticator, Caller
from tocsin.web.desk import Desk, peer_address
from tocsin.web.endpoint import Endpoint, Permission
from tocsin.web.problem import Refused

_BODY = 512_000  # PagerDuty's own limit
_SOURCE = "pagerduty"
_OPEN = tuple(state.value for state in IncidentState if state.open)


class Payload(pydantic.BaseModel):
    summary: str = pydantic.Field(max_length=1024)
    source: str
    severity: Literal["critical", "error", "warning", "info"]
    timestamp: str = ""
    component: str | None = None
    group: str | None = None
    class_: str | None = pydantic.Field(default=None, alias="class")
    custom_details: Any = None


class Event(pydantic.BaseModel):
    routing_key: str
    event_action: Literal["trigger", "acknowledge", "resolve"]
    dedup_key: str = pydantic.Field(default="", max_length=255)
    payload: Payload | None = None
    client: str | None = None
    client_url: str | None = None


class Enqueue:
    """Handler of `/v2/enqueue`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._authenticator = Authenticator(desk.parts)

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("/v2/enqueue", self.take, methods=["POST"], permission=Permission.TOKEN, max_body=_BODY)]

    async def take(self, request: Request) -> Response:
        """PagerDuty's Events API v2; the routing key is an API token."""
        try:
            event = Event.model_validate_json(await request.body())
        except pydantic.ValidationError as error:
            return _invalid([f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)])
        caller = await self._authenticator.by_token(event.routing_key, peer_address(request))
        if not Permission.LOOPBACK_SEND.allows(caller.role):
            raise Refused(403, "forbidden", f"the routing key's role is {caller.role}: expected sender, responder or admin")
        key = event.dedup_key or self._desk.parts.random.randbytes(16).hex()
        match event.event_action:
            case "trigger":
                if event.payload is None:
                    return _invalid(["payload: required for a trigger"])
                await self._post(alert_of(event, event.payload, key, self._desk.now_ms(), self._severities()), caller)
            case "resolve":
                await self._resolve(key, caller)
            case "acknowledge":
                await self._acknowledge(key, caller)
        body = {"status": "success", "message": "Event processed", "dedup_key": key}
        return Response(dumps(body), 202, media_type="application/json")

    def _severities(self) -> Sequence[str]:
        return self._desk.settings.severities

    async def _post(self, alert: Alert, caller: Caller) -> None:
        await self._desk.parts.core.command("alerts.post", {"alerts": alerts_to_command([alert])}, caller.actor)

    async def _resolve(self, key: str, caller: Caller) -> None:
        now_ms = self._desk.now_ms()
        for row in await self._desk.parts.database.read(lambda tx: _firing(tx, key, now_ms)):
            ended = Alert(Labels(row.labels), row.annotations, row.starts_at_ms, now_ms, source=row.source)
            await self._post(ended, caller)

    async def _acknowledge(self, key: str, caller: Caller) -> None:
        now_ms = self._desk.now_ms()
        for number in await self._desk.parts.database.read(lambda tx: _open_incidents(tx, key, now_ms)):
            await self._desk.parts.core.command("incident.acknowledge", {"number": number}, caller.actor)


def alert_of(event: Event, payload: Payload, key: str, now_ms: int, severities: Sequence[str]) -> Alert:
    """A trigger as an alert that fires until it is resolved."""
    labels = {
        "alertname": payload.class_ or "PagerDutyEvent",
        "dedup_key": key,
        "severity": severity_of(payload.severity, severities),
        "instance": payload.source,
        "component": payload.component or "",
        "service": payload.group or "",
    }
    annotations = {"summary": payload.summary}
    if payload.custom_details:
        details = payload.custom_details
        annotations["description"] = details if isinstance(details, str) else dumps(details).decode()[:4096]
    return Alert(
        Labels(labels), annotations, _instant(payload.timestamp, now_ms), 0, generator_url=event.client_url or "", source=_SOURCE
    )


def severity_of(word: str, severities: Sequence[str]) -> str:
    """PagerDuty's word where we know it; `error` is as bad as the worst we have."""
    return word if word in severities else severities[-1] if word in ("error", "critical") and severities else word


def _instant(text: str, now_ms: int) -> int:
    """The event's own time unless it is missing, wrong or in the future."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now_ms
    return min(now_ms, round(moment.timestamp() * 1000)) if moment.tzinfo else now_ms


def _firing(tx: Connection, key: str, now_ms: int) -> list[Any]:
    still = sa.or_(alerts.c.ends_at_ms == 0, alerts.c.ends_at_ms > now_ms)
    rows = tx.execute(sa.select(alerts).where(alerts.c.source == _SOURCE, still))
    return [row for row in rows if row.labels.get("dedup_key") == key]


def _open_incidents(tx: Connection, key: str, now_ms: int) -> list[int]:
    fingerprints = [row.fingerprint for row in _firing(tx, key, now_ms)]
    query = (
        sa.select(incident_alerts.c.incident)
        .join(incidents, incidents.c.number == incident_alerts.c.incident)
        .where(incident_alerts.c.fingerprint.in_(fingerprints), incidents.c.state.in_(_OPEN))
        .distinct()
    )
    return list(tx.execute(query).scalars())


def _invalid(errors: Sequence[str]) -> Response:
    """PagerDuty's own form of a refusal."""
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}
    return Response(dumps(body), 400, media_type="application/json")
