"""Alertmanager's API v2 over our rows: Prometheus posts alerts here, amtool, Karma and Grafana read and silence.

Reads come from the read-only state database; whatever changes something is a command to the core. The odd behaviours are
Alertmanager 0.33's own, measured and held by tests/conformance/.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
import re2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.alerts import rows
from tocsin.alerts.route import default_routing
from tocsin.alerts.silence import sort_silences
from tocsin.alerts.view import Filter, Shown, View, matches_filter, receiver_labels
from tocsin.errors import CommandError
from tocsin.formats.alertmanager_json import (
    BodyError,
    alert_json,
    alerts_from_webhook,
    alerts_to_command,
    parse_alerts,
    parse_silence,
    silence_json,
    silence_to_command,
)
from tocsin.formats.matchers import MatcherError, parse_matcher
from tocsin.formats.routing_json import routing_from_json
from tocsin.formats.times import format_rfc3339
from tocsin.model.event import Actor
from tocsin.model.labels import Matcher, compile_anchored
from tocsin.model.route import Routing, Silence, SilenceState
from tocsin.web.endpoint import Endpoint, Errors, MiB, Permission
from tocsin.web.parts import WebParts

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
_TRUE = frozenset({"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"})


def routes(parts: WebParts) -> list[Route]:
    """Everything under /api/v2, and the door for other Alertmanagers' webhooks."""
    api = AlertmanagerApi(parts)

    def route(path: str, handler: Handler, method: str) -> Route:
        return Route(path, _answering(handler), methods=[method])

    return [
        route("/api/v2/status", api.status, "GET"),
        route("/api/v2/receivers", api.receivers, "GET"),
        route("/api/v2/alerts", api.alerts, "GET"),
        route("/api/v2/alerts", api.post_alerts, "POST"),
        route("/api/v2/alerts/groups", api.groups, "GET"),
        route("/api/v2/silences", api.silences, "GET"),
        route("/api/v2/silences", api.post_silence, "POST"),
        route("/api/v2/silence/{id}", api.silence, "GET"),
        route("/api/v2/silence/{id}", api.delete_silence, "DELETE"),
        Endpoint(
            "/in/alertmanager",
            _answering(api.post_webhook),
            methods=["POST"],
            permission=Permission.LOOPBACK_SEND,
            errors=Errors.ALERTMANAGER,
            max_body=32 * MiB,
        ),
    ]


class _BadRequest(Exception):
    """Answered 400 with the text as a JSON string."""


class AlertmanagerApi:
    """Handlers; one per web process."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._version = ""
        self._routing = default_routing()

    # -- what is configured -----------------------------------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        routing = await self._current()
        revision = self._parts.revision
        return _json(
            {
                "cluster": {"peers": [], "status": "disabled"},
                "config": {"original": routing.original},
                "uptime": format_rfc3339(self._parts.started_ms),
                "versionInfo": {
                    "branch": "",
                    "buildDate": "",
                    "buildUser": "",
                    "goVersion": "",
                    "revision": revision,
                    "version": self._parts.version,
                },
            }
        )

    async def receivers(self, request: Request) -> Response:
        wanted = _matchers(request, "receiver_matchers", "failed to parse receiver_matchers param: ")
        routing = await self._current()
        found = [(name, receiver_labels(routing, name)) for name in routing.receivers]
        return _json([{"labels": labels, "name": name} for name, labels in found if matches_filter(wanted, labels)])

    # -- alerts -----------------------------------------------------------------------------------------------------------

    async def alerts(self, request: Request) -> Response:
        wanted = _filter(request)
        now_ms = self._parts.clock.now_ms()
        shown = await self._view(lambda view: view.alerts(wanted), now_ms)
        return _json([self._alert(one, now_ms) for one in shown])

    async def groups(self, request: Request) -> Response:
        wanted = _filter(request)
        now_ms = self._parts.clock.now_ms()
        found = await self._view(lambda view: view.groups(wanted), now_ms)
        return _json(
            [
                {
                    "alerts": [self._alert(one, now_ms, muted_by=list(shown.muted_by)) for one in shown.alerts],
                    "labels": dict(shown.group.labels),
                    "receiver": {"name": shown.group.receiver},
                    "routeLabels": dict(shown.route_labels),
                }
                for shown in found
            ]
        )

    async def post_alerts(self, request: Request) -> Response:
        now_ms = self._parts.clock.now_ms()
        routing = await self._current()
        body = await request.body()
        alerts, problems = parse_alerts(body, now_ms=now_ms, resolve_timeout_ms=routing.resolve_timeout_ms)
        if alerts:
            await self._parts.core.command("alerts.post", {"alerts": alerts_to_command(alerts)}, _actor(request))
        if problems:
            raise _BadRequest("\n".join(problems))
        return Response(status_code=200)

    async def post_webhook(self, request: Request) -> Response:
        """An Alertmanager's or Grafana's webhook (version 4) as a source of alerts."""
        alerts = alerts_from_webhook(await request.body(), now_ms=self._parts.clock.now_ms())
        if alerts:
            await self._parts.core.command("alerts.post", {"alerts": alerts_to_command(alerts)}, _actor(request))
        return Response(status_code=200)

    # -- silences ---------------------------------------------------------------------------------------------------------

    async def silences(self, request: Request) -> Response:
        wanted = _matchers(request, "filter")
        states = {state for state in SilenceState if _flag(request, state.value)}
        now_ms = self._parts.clock.now_ms()
        found = await self._parts.database.read(rows.read_silences)
        kept = [s for s in found if s.state(now_ms) in states and all(matcher in s.matchers for matcher in wanted)]
        return _json([silence_json(silence, now_ms) for silence in sort_silences(kept, now_ms)])

    async def silence(self, request: Request) -> Response:
        silence = await self._known_silence(_silence_id(request))
        if silence is None:
            return Response(status_code=404)
        return _json(silence_json(silence, self._parts.clock.now_ms()))

    async def post_silence(self, request: Request) -> Response:
        wanted = parse_silence(await request.body())
        answer = await self._parts.core.command("silence.set", silence_to_command(wanted), _actor(request))
        return _json({"silenceID": answer["id"]})

    async def delete_silence(self, request: Request) -> Response:
        silence_id = _silence_id(request)
        if await self._known_silence(silence_id) is None:
            return Response(status_code=404)
        await self._parts.core.command("silence.expire", {"id": silence_id}, _actor(request))
        return Response(status_code=200)

    async def _known_silence(self, silence_id: str) -> Silence | None:
        return await self._parts.database.read(lambda connection: rows.read_silence(connection, silence_id))

    # -- shared -----------------------------------------------------------------------------------------------------------

    async def _current(self) -> Routing:
        """The routing in force; the last one known while the core restarts."""
        try:
            answer = await self._parts.core.command("alerts.routing", {"version": self._version})
        except CommandError as error:
            if error.status == 503 and self._version:
                return self._routing
            raise
        if answer["routing"] is not None:
            self._routing, self._version = routing_from_json(answer["routing"]), answer["version"]
        return self._routing

    async def _view(self, ask: Callable[[View], T], now_ms: int) -> T:
        routing = await self._current()
        return await self._parts.database.read(lambda connection: ask(View(connection, routing, now_ms)))

    def _alert(self, shown: Shown, now_ms: int, *, muted_by: list[str] | None = None) -> dict[str, Any]:
        return alert_json(
            shown.known.alert,
            fingerprint=shown.known.fingerprint,
            causes=shown.causes,
            receivers=shown.receivers,
            ends_at_ms=now_ms + self._routing.resolve_timeout_ms,
            muted_by=muted_by or (),
        )


# -- requests and answers -------------------------------------------------------------------------------------------------


def _answering(handler: Handler) -> Handler:
    """The handler with Alertmanager's wording of refusals."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BodyError as error:
            return _json({"code": error.code, "message": str(error)}, error.status)
        except (_BadRequest, MatcherError) as error:
            return _json(str(error), 400)
        except CommandError as error:
            return _json(str(error), error.status)

    answer.__doc__ = handler.__doc__
    return answer


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value) + b"\n", status, media_type="application/json")


def _filter(request: Request) -> Filter:
    receiver = None
    if (pattern := request.query_params.get("receiver")) is not None:
        try:
            regex = compile_anchored(pattern)
        except re2.error as error:
            raise _BadRequest(f"failed to parse receiver param: {error}") from None

        def receiver(name: str) -> bool:
            return regex.match(name) is not None

    return Filter(
        matchers=_matchers(request, "filter"),
        active=_flag(request, "active"),
        silenced=_flag(request, "silenced"),
        inhibited=_flag(request, "inhibited"),
        muted=_flag(request, "muted"),
        receiver=receiver,
        receiver_matchers=_matchers(request, "receiver_matchers", "failed to parse receiver_matchers param: "),
    )


def _matchers(request: Request, name: str, prefix: str = "") -> list[Matcher]:
    try:
        return [parse_matcher(text) for text in request.query_params.getlist(name)]
    except MatcherError as error:
        raise _BadRequest(f"{prefix}{error}") from None


def _flag(request: Request, name: str) -> bool:
    """True when left out; any text that is not a word for yes is no."""
    text = request.query_params.get(name)
    return text is None or text.lower() in _TRUE


def _silence_id(request: Request) -> str:
    text = request.path_params["id"]
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise BodyError(422, 601, f'silenceID in path must be of type uuid: "{text}"') from None


def _actor(request: Request) -> Actor:
    caller = getattr(request.state, "caller", None)
    if caller is not None:
        actor = caller.actor
        assert isinstance(actor, Actor)
        return actor
    return Actor("integration", "alertmanager-api", via="api", address=request.client.host if request.client else "")
