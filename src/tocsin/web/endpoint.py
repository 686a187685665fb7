"""One row of the route table: path, methods, who may call it, and how large a body may be.

A route without a declared permission cannot be built, so nothing is reachable by forgetting.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Handler = Callable[[Request], Awaitable[Response]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MiB = 1024 * 1024


class Role(enum.StrEnum):
    """What an account or token may do; each of viewer, responder and admin includes the one before."""

    PROBE = "probe"
    """`tocsin probe` at one place: its plan and its results, nothing else."""
    SENDER = "sender"
    """Only sends: samples, alerts. Cannot read."""
    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


class Permission(enum.StrEnum):
    """Who may call a route."""

    PUBLIC = "public"
    """Anybody: health, sign-in, the public status page, static files."""
    TOKEN = "token"
    """The secret is in the path or in a signature; the handler verifies it."""
    LOOPBACK_READ = "loopback_read"
    """Prometheus and Alertmanager reads: viewers, and programs of this machine while Tocsin listens on loopback alone."""
    LOOPBACK_SEND = "loopback_send"
    """Samples and alerts: senders and responders, and programs of this machine as above."""
    PROBE = "probe"
    """Agents of ours elsewhere, each with a token that is bound to its place."""
    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"

    def allows(self, role: str) -> bool:
        return role in _ALLOWED[self]

    @property
    def role(self) -> str:
        """The least role that it takes, for people."""
        match self:
            case Permission.LOOPBACK_READ:
                return Role.VIEWER
            case Permission.LOOPBACK_SEND:
                return Role.SENDER
            case _:
                return self.value


_VIEW = frozenset({Role.VIEWER, Role.RESPONDER, Role.ADMIN})
_ALLOWED: dict[Permission, frozenset[str]] = {
    Permission.PUBLIC: _VIEW | {Role.SENDER},
    Permission.TOKEN: _VIEW | {Role.SENDER},
    Permission.LOOPBACK_READ: _VIEW,
    Permission.LOOPBACK_SEND: frozenset({Role.SENDER, Role.RESPONDER, Role.ADMIN}),
    Permission.PROBE: frozenset({Role.PROBE}),
    Permission.VIEWER: _VIEW,
    Permission.RESPONDER: frozenset({Role.RESPONDER, Role.ADMIN}),
    Permission.ADMIN: frozenset({Role.ADMIN}),
}


class Errors(enum.StrEnum):
    """How a family of routes words its errors."""

    PROBLEM = "problem"
    """RFC 9457 problem+json: our own API."""
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    PLAIN = "plain"
    PAGE = "page"
    """HTML; who is not signed in is sent to the sign-in page."""


class Endpoint(Route):
    """A route with its declared permission. `path` is Starlette's syntax; methods other than the given ones answer 405."""

    def __init__(
        self,
        path: str,
        handler: Handler,
        *,
        permission: Permission,
        methods: Sequence[str] = ("GET",),
        errors: Errors = Errors.PROBLEM,
        max_body: int = MiB,
        form: bool = False,
        answer: Any = None,
        body: Any = None,
        status: int = 200,
        summary: str = "",
        mark: Callable[[Request], Awaitable[str | None]] | None = None,
        framed: bool = False,
    ) -> None:
        """`form` = the CSRF token may come as a form field; `answer` and `body` are types for the OpenAPI document.

        `mark` = the write edits a thing, and `If-Match` is held against this (match.py). `framed` = the pages of
        `web.frame_ancestors` may show it in a frame; no page may show anything else.
        """
        super().__init__(path, handler, methods=list(methods))
        self.permission = permission
        self.errors = errors
        self.body_limit = max_body
        self.form = form
        self.answer = answer
        self.body = body
        self.status = status
        self.mark = mark
        self.framed = framed
        self.summary = summary or (handler.__doc__ or "").strip().split("\n")[0]
