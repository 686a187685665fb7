"""Starlette: `instrument(app)`."""

from __future__ import annotations

from typing import Any

from tocsin_instrument.asgi import Metrics


def instrument(app: Any, *, metrics_path: str = "/metrics") -> None:
    """Add the middleware and `GET /metrics`; call before the application starts."""
    app.add_middleware(Metrics, metrics_path=metrics_path)
