"""What others push: remote write, heartbeats, samples as text, callbacks. The bytes go to the core as they came."""

from __future__ import annotations

from functools import partial

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tocsin.bus.wire import IngestRequest
from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.web.answers import dumps
from tocsin.web.desk import Desk, actor_of, peer_address
from tocsin.web.endpoint import Endpoint, Errors, Handler, Permission

_PASSED = ("content-type", "content-encoding", "user-agent", "x-prometheus-remote-write-version")
_HEARTBEAT_BODY = 100_000
_KINDS = {"": "success", "success": "success", "start": "start", "fail": "fail"}


class Ingest:
    """Handlers of pushed data."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        send, limit = Permission.LOOPBACK_SEND, self._desk.settings.ingest_limit
        pushed = partial(Endpoint, permission=send, errors=Errors.PLAIN, max_body=limit)
        beat = partial(
            Endpoint,
            methods=["GET", "POST", "PUT"],
            permission=Permission.TOKEN,
            errors=Errors.PLAIN,
            max_body=_HEARTBEAT_BODY,
        )
        return [
            pushed("/api/v1/write", self._taker("write"), methods=["POST"]),
            pushed("/api/v1/otlp/v1/metrics", self._taker("otlp"), methods=["POST"]),
            pushed("/metrics/{rest:path}", self.push, methods=["PUT", "POST", "DELETE"]),
            beat("/hb/{token}", self.heartbeat),
            beat("/hb/{token}/{kind}", self.heartbeat),
        ]

    def _taker(self, kind: str) -> Handler:
        async def take(request: Request) -> Response:
            """Samples for the store."""
            return await self._pass_on(request, kind)

        return take

    async def push(self, request: Request) -> Response:
        """Pushgateway's API: `/metrics/job/<job>{/<label>/<value>}`."""
        return await self._pass_on(request, "push")

    async def _pass_on(self, request: Request, kind: str) -> Response:
        sent = IngestRequest(
            body=await request.body(),
            headers={name: request.headers[name] for name in _PASSED if name in request.headers} | {"x-method": request.method},
            query=dict(request.query_params),
            path=request.url.path,
            actor=actor_of(request),
        )
        answer = await self._desk.parts.core.ingest(kind, sent)
        return Response(answer.body, answer.status, headers=dict(answer.headers), media_type=answer.content_type)

    async def heartbeat(self, request: Request) -> Response:
        """A ping of a heartbeat check: `/hb/<token>`, `.../start`, `.../fail`, `.../<exit status>`.

        Always "OK": whether a token exists is nobody's business who does not have it.
        """
        kind = request.path_params.get("kind", "")
        if kind.isdecimal() and int(kind) <= 255:
            word = "success" if int(kind) == 0 else "fail"
        elif kind in _KINDS:
            word = _KINDS[kind]
        else:
            return PlainTextResponse("expected start, fail or an exit status\n", 400)
        body = (await request.body())[:10_000].decode(errors="replace")
        args = {"token": request.path_params["token"], "kind": word, "body": body}
        try:
            await self._desk.parts.core.command(
                "heartbeat.ping", args, Actor("integration", "heartbeat", "http", peer_address(request))
            )
        except CommandError as error:
            if error.status >= 500:
                raise
        return PlainTextResponse("OK\n")


class Inbound:
    """Answers of people that come through chat, phone and paging services: `/in/slack`, `/in/pagerduty`, `/in/twilio`;
    keys pressed in a call, `/in/twilio/voice`; and Twilio's reports, `/in/twilio/status` and `/in/twilio/voice/status`.

    The raw body and its headers go to the core, which verifies the signature with the channel's secret; nothing is believed here.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(f"/in/{channel}", self._taker(channel), methods=["POST"], permission=Permission.TOKEN, errors=Errors.PLAIN)
            for channel in ("slack", "pagerduty", "twilio", "twilio/status", "twilio/voice", "twilio/voice/status")
        ]

    def _taker(self, channel: str) -> Handler:
        async def take(request: Request) -> Response:
            """A signed callback; the core verifies it."""
            body = await request.body()
            headers = {name: value for name, value in request.headers.items() if name.startswith("x-") or name == "content-type"}
            args = {
                "channel": channel,
                "body": body.decode("latin-1"),
                "headers": headers,
                "url": str(request.url),
                "query": dict(request.query_params),
            }
            actor = Actor("integration", channel, "callback", peer_address(request))
            answer = await self._desk.parts.core.command("inbound", args, actor)
            if isinstance(answer, dict) and answer.get("content_type", "").startswith("text/"):
                return Response(answer.get("body", ""), media_type=answer["content_type"])
            return Response(dumps(answer) if answer else orjson.dumps({}), media_type="application/json")

        return take
