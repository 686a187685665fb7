"""The web application: every route in one table, behind one gate."""

from __future__ import annotations

from tocsin.web.desk import Desk
from tocsin.web.gate import Gate
from tocsin.web.parts import WebParts, WebSettings
from tocsin.web.table import route_table

__all__ = ["WebParts", "WebSettings", "create_app"]


def create_app(parts: WebParts) -> Gate:
    """The ASGI application of the web process. Its lifespan follows the core's changes: serve it with lifespan on."""
    desk = Desk.of(parts)
    closing = [desk.heavy.close] if desk.heavy is not None else []
    return Gate(parts, route_table(desk), loops=[desk.hub.run], closing=closing)
