"""Flask: `instrument(app)`."""

from __future__ import annotations

from typing import Any

from tocsin_instrument.wsgi import ROUTE_KEY, Metrics


def instrument(app: Any, *, metrics_path: str = "/metrics") -> None:
    """Wrap the application's WSGI callable; the route is the URL rule that matched."""
    from flask import request

    @app.before_request  # type: ignore[untyped-decorator, unused-ignore]
    def _note_route() -> None:
        if request.url_rule is not None:
            request.environ[ROUTE_KEY] = request.url_rule.rule

    app.wsgi_app = Metrics(app.wsgi_app, metrics_path=metrics_path)
