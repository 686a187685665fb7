"""The one door: every request is matched against the route table, judged by that route's permission, and only then handled.

    Host -> route -> Origin -> who -> permission -> CSRF -> body limit -> handler -> security headers

The route that was judged is the route that runs: there is no second router behind the gate that could read the path differently.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from tocsin.errors import CommandError, QueryError, QueryTimeout, TocsinError
from tocsin.log import get_log
from tocsin.metrics import Counter, Histogram
from tocsin.web.auth import Authenticator, Caller, loopback_caller
from tocsin.web.endpoint import SAFE_METHODS, Endpoint, Errors, Permission
from tocsin.web.forms import read_form
from tocsin.web.limits import limited_receive, too_large
from tocsin.web.match import changed_meanwhile, check_mark
from tocsin.web.origin import Peer, host_is_ours, origin_is_ours, peer_of
from tocsin.web.parts import WebParts, WebSettings
from tocsin.web.problem import Refused, error_response, not_found

log = get_log("web")

requests_total = Counter("tocsin_web_requests_total", "HTTP requests answered.", ["handler", "code"])
request_seconds = Histogram("tocsin_web_request_duration_seconds", "Time to answer an HTTP request.", ["handler"])

Loop = Callable[[], Coroutine[Any, Any, None]]

_OWN_API = "/api/tocsin/"

_OPEN = (Permission.PUBLIC, Permission.TOKEN)
_LOOPBACK = (Permission.LOOPBACK_READ, Permission.LOOPBACK_SEND)


class Gate:
    """The ASGI application over a route table."""

    def __init__(
        self, parts: WebParts, endpoints: Sequence[Endpoint], loops: Sequence[Loop] = (), closing: Sequence[Loop] = ()
    ) -> None:
        """`loops` run from the application's start to its end, `closing` after that."""
        self.endpoints = tuple(endpoints)
        self._loops = loops
        self._closing = closing
        self._running: list[asyncio.Task[None]] = []
        self._parts = parts
        self._authenticator = Authenticator(parts)
        self._fixed: dict[str, list[Endpoint]] = {}
        self._patterns: list[Endpoint] = []
        for endpoint in self.endpoints:
            if "{" in endpoint.path:
                self._patterns.append(endpoint)
            else:
                self._fixed.setdefault(endpoint.path, []).append(endpoint)

    @property
    def _settings(self) -> WebSettings:
        """Read each time: a reload of the configuration replaces it."""
        return self._parts.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        # Websockets do not exist here: the server closes what nobody accepts.

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._running = [asyncio.create_task(run()) for run in self._loops]
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in self._running:
                    task.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
                for close in self._closing:
                    await close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = self._parts.random.randbytes(8).hex()
        answer = _Answer(send, request_id, secure=self._settings.secure)
        started = self._parts.clock.monotonic_s()
        endpoint: Endpoint | None = None
        try:
            endpoint = self._match(scope)
            if endpoint is not None and endpoint.framed:
                answer.frame_ancestors = self._settings.frame_ancestors
            await self._judge_and_handle(scope, receive, answer, endpoint)
        except ClientDisconnect:
            answer.status = 499
        # This is the loop of the web process: one bad request must not end the others.
        except Exception as error:
            if answer.started:
                log.exception("answer broke off", handler=endpoint.path if endpoint else "", request=request_id)
                raise
            response = _response_for(error, scope, endpoint, request_id, self._settings.route_prefix)
            await response(scope, receive, answer)
        finally:
            handler = endpoint.path if endpoint else "none"
            requests_total.inc(handler, str(answer.status))
            request_seconds.observe(self._parts.clock.monotonic_s() - started, handler)

    def _match(self, scope: Scope) -> Endpoint | None:
        """The endpoint for this path and method; its path parameters go into the scope. None = no such path."""
        path: str = scope["path"]
        prefix = self._settings.route_prefix
        if prefix:
            if path != prefix and not path.startswith(prefix + "/"):
                return None
            path = path[len(prefix) :] or "/"
            scope["path"] = path
        partial: Endpoint | None = None
        for endpoint in self._fixed.get(path, ()):
            if scope["method"] in (endpoint.methods or ()):
                scope.update(endpoint=endpoint.endpoint, path_params={})
                return endpoint
            partial = partial or endpoint
        asked = {**scope, "root_path": ""}
        for endpoint in self._patterns:
            match, child = endpoint.matches(asked)
            if match is Match.FULL:
                scope.update(child)
                return endpoint
            if match is Match.PARTIAL and partial is None:
                partial = endpoint
        return partial

    async def _judge_and_handle(self, scope: Scope, receive: Receive, answer: _Answer, endpoint: Endpoint | None) -> None:
        headers = Headers(scope=scope)
        peer = peer_of(scope, headers, self._settings)
        if not host_is_ours(headers, self._settings):
            raise Refused(421, "wrong_host", "this server does not answer under that name (Host header); see external_url")
        if endpoint is None and scope["path"].startswith(_OWN_API):
            raise Refused(
                404, "no_such_path", "there is nothing at this path; /api/tocsin/v1/openapi.json describes what there is"
            )
        if endpoint is None:
            home = f"{self._settings.route_prefix}/"
            await not_found(headers.get("accept", ""), home)(scope, receive, answer)
            return
        if scope["method"] not in (endpoint.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(endpoint.methods or ()))})
        answer.reveals_nothing = endpoint.errors is Errors.PAGE
        unsafe = scope["method"] not in SAFE_METHODS
        if unsafe and not origin_is_ours(headers, self._settings):
            raise Refused(403, "foreign_origin", "requests from pages of other origins are refused")
        caller = await self._caller(endpoint, headers, peer)
        limited = limited_receive(receive, limit=endpoint.body_limit, seconds=self._settings.body_timeout_s)
        if (length := headers.get("content-length", "")).isdigit() and int(length) > endpoint.body_limit:
            raise too_large(endpoint.body_limit)
        state = scope.setdefault("state", {})
        actor = caller.actor if caller is not None else None
        state |= {"parts": self._parts, "caller": caller, "actor": actor, "peer": peer, "request_id": answer.request_id}
        if unsafe and caller is not None and caller.csrf and endpoint.permission not in (*_OPEN, Permission.LOOPBACK_READ):
            await _check_csrf(Request(scope, limited), endpoint, caller)
        if endpoint.mark is not None:
            await check_mark(Request(scope, limited), endpoint.mark)
        try:
            # Not through the route's own application: it catches, wraps and throws again what is answered here.
            response = await endpoint.endpoint(Request(scope, limited, answer))
            await response(scope, limited, answer)
        except CommandError as error:
            if error.status != 412 or endpoint.mark is None:
                raise
            # Somebody was first by a moment: who was late hears what it is now, as above.
            raise changed_meanwhile(await endpoint.mark(Request(scope, limited))) from error

    async def _caller(self, endpoint: Endpoint, headers: Headers, peer: Peer) -> Caller | None:
        """Who asks, once it is certain that they may. Raises Refused 401 or 403."""
        if endpoint.permission is Permission.TOKEN:
            return None
        try:
            caller = await self._authenticator.caller(headers, peer.address)
        except Refused:
            if endpoint.permission is Permission.PUBLIC:
                return None
            raise
        if endpoint.permission is Permission.PUBLIC:
            return caller
        if caller is None and endpoint.permission in _LOOPBACK and self._loopback_exempt(headers, peer):
            return loopback_caller(peer.address)
        if caller is None:
            raise Refused(401, "sign_in", "sign in, or send an API token (tocsin token create)")
        if not endpoint.permission.allows(caller.role):
            detail = f"this needs the role {endpoint.permission.role}, {caller.actor.name} is {caller.role}"
            raise Refused(403, "forbidden", f"{detail}; an administrator can change that")
        return caller

    def _loopback_exempt(self, headers: Headers, peer: Peer) -> bool:
        """Loopback programs may read and send without a token: we listen there alone, and nothing was forwarded or cross-site."""
        cross_site = headers.get("sec-fetch-site") in ("cross-site", "same-site") or not origin_is_ours(headers, self._settings)
        return self._settings.loopback_only and peer.loopback and not peer.forwarded and not cross_site


async def _check_csrf(request: Request, endpoint: Endpoint, caller: Caller) -> None:
    sent = request.headers.get("x-csrf-token", "")
    if not sent and endpoint.form:
        sent = (await read_form(request)).get("csrf", "")
    if not hmac.compare_digest(sent.encode(), caller.csrf.encode()):
        raise Refused(403, "csrf", "the X-CSRF-Token header is missing or old; load the page again")


class _Answer:
    """`send` that adds the headers every answer carries and remembers the status."""

    def __init__(self, send: Send, request_id: str, *, secure: bool) -> None:
        self.request_id = request_id
        self.status = 0
        self.started = False
        self.reveals_nothing = False
        self.frame_ancestors = "'none'"
        self._send = send
        self._secure = secure

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            sent, ours = list(message["headers"]), _safety_headers(self.frame_ancestors, secure=self._secure)
            names = {name for name, _ in sent}
            if not names.isdisjoint(ours):
                sent = [pair for pair in sent if pair[0] not in ours]
            if b"cache-control" not in names:
                sent.append((b"cache-control", b"no-store"))
            message["headers"] = [*sent, *ours.items(), (b"x-request-id", self.request_id.encode())]
        await self._send(message)


@lru_cache(maxsize=8)
def _safety_headers(frame_ancestors: str, *, secure: bool) -> dict[bytes, bytes]:
    """What every answer says to browsers, whatever its handler says."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
        f"frame-ancestors {frame_ancestors}"
    )
    headers = {
        b"x-content-type-options": b"nosniff",
        # Not `no-referrer`: under it browsers send our own forms with `Origin: null`, which is nobody's.
        b"referrer-policy": b"same-origin",
        b"content-security-policy": policy.encode(),
        b"cross-origin-opener-policy": b"same-origin",
    }
    if "'none'" in frame_ancestors:
        headers[b"x-frame-options"] = b"DENY"
    if secure:
        headers[b"strict-transport-security"] = b"max-age=31536000"
    return headers


def _response_for(error: Exception, scope: Scope, endpoint: Endpoint | None, request_id: str, prefix: str) -> Response:
    unknown = Errors.PROBLEM if scope["path"].startswith(_OWN_API) else Errors.PLAIN
    errors = endpoint.errors if endpoint else unknown
    match error:
        case Refused():
            if error.status == 401 and errors is Errors.PAGE and scope["method"] in SAFE_METHODS:
                return RedirectResponse(f"{prefix}/login?next={_here(scope, prefix)}", 303)
            response = error_response(errors, error.status, error.code, str(error), request_id=request_id)
            if error.status == 401:
                response.headers["www-authenticate"] = 'Bearer realm="tocsin"'
            if error.status == 429:
                response.headers["retry-after"] = "60"
            response.headers.update(error.headers)
            return response
        case CommandError():
            return error_response(errors, error.status, error.code, str(error), request_id=request_id)
        case HTTPException():
            detail = "method not allowed" if error.status_code == 405 else error.detail
            response = error_response(errors, error.status_code, "http", detail, request_id=request_id)
            response.headers.update(error.headers or {})
            return response
        case QueryTimeout():
            return error_response(errors, 503, error.error_type, str(error), request_id=request_id)
        case QueryError():
            return error_response(errors, 422, error.error_type, str(error), request_id=request_id)
        case TocsinError():
            return error_response(errors, 400, "bad_request", str(error), request_id=request_id)
        case sa.exc.OperationalError() | sa.exc.TimeoutError() | MemoryError() | TimeoutError():
            log.error(
                "no room for a request", error=repr(error)[:300], handler=endpoint.path if endpoint else "", request=request_id
            )
            text = f"Tocsin has too much to do to answer this; try again in a moment (request {request_id})"
            response = error_response(errors, 503, "overloaded", text, request_id=request_id)
            response.headers["retry-after"] = "2"
            return response
        case _:
            log.exception("request failed", handler=endpoint.path if endpoint else "", request=request_id)
            text = f"something broke in Tocsin; the log has it as request {request_id}"
            return error_response(errors, 500, "internal", text, request_id=request_id)


def _here(scope: Scope, prefix: str) -> str:
    """This request's path and query, quoted for `?next=`."""
    query = scope.get("query_string", b"").decode("latin-1")
    return quote(prefix + scope["path"] + (f"?{query}" if query else ""), safe="/")
