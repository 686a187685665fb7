"""Requests through ASGI and WSGI middleware, Starlette and FastAPI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

COUNT = "http_server_request_duration_seconds_count"


async def call(app: Any, path: str, method: str = "GET") -> tuple[int, bytes]:
    """One request to an ASGI application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
        "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1), "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent)


def labels(method: str, route: str, status: int) -> dict[str, str]:
    return {"http_request_method": method, "http_route": route, "http_response_status_code": str(status)}


async def test_fastapi_in_two_lines_counts_by_template_never_by_path(value: Callable[..., float]) -> None:
    from fastapi import APIRouter, FastAPI, HTTPException
    from tocsin_instrument.fastapi import instrument

    before = value(COUNT, **labels("GET", "", 404))
    app = FastAPI()
    router = APIRouter(prefix="/shop")

    @app.get("/orders/{number}")
    async def order(number: int) -> dict[str, int]:
        if number == 13:
            raise HTTPException(409)
        return {"number": number}

    @router.get("/items/{item}")
    async def item(item: str) -> str:
        return item

    app.include_router(router)
    instrument(app)
    for number in (1, 2, 13):
        await call(app, f"/orders/{number}")
    await call(app, "/shop/items/x")
    await call(app, "/nothing/here")
    await call(app, "/orders/1", "BREW")
    assert value(COUNT, **labels("GET", "/orders/{number}", 200)) == 2
    assert value(COUNT, **labels("GET", "/orders/{number}", 409)) == 1
    assert value(COUNT, **labels("GET", "/shop/items/{item}", 200)) == 1
    assert value(COUNT, **labels("GET", "", 404)) == before + 1, "a path that matches nothing makes no series of its own"
    status, body = await call(app, "/metrics")
    assert status == 200
    text = body.decode()
    assert "BREW" not in text and "nothing/here" not in text
    assert 'http_server_active_requests{http_request_method="GET"} 0.0' in text


async def test_a_request_that_raises_is_a_500_and_is_not_left_active(value: Callable[..., float]) -> None:
    from tocsin_instrument.asgi import Metrics

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("boom")

    app = Metrics(broken, route=lambda scope: "/broken")
    with pytest.raises(RuntimeError):
        await call(app, "/x", "DELETE")
    assert value(COUNT, **labels("DELETE", "/broken", 500)) == 1
    assert value("http_server_active_requests", http_request_method="DELETE") == 0


async def test_other_protocols_pass_untouched() -> None:
    from tocsin_instrument.asgi import Metrics

    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Metrics(inner)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_wsgi_measures_to_the_end_of_the_body(value: Callable[..., float]) -> None:
    from tocsin_instrument.wsgi import ROUTE_KEY, Metrics

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ[ROUTE_KEY] = "/w/<id>"
        start_response("201 Created", [])
        return (part for part in (b"a", b"b"))

    def get(wrapped: Any, path: str) -> tuple[str, bytes]:
        environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        started: list[str] = []
        body = wrapped(environ, lambda status, headers, *more: started.append(status))
        data = b"".join(body)
        if hasattr(body, "close"):
            body.close()
            body.close()
        return started[0], data

    wrapped = Metrics(app)
    assert get(wrapped, "/w/1") == ("201 Created", b"ab")
    assert value(COUNT, **labels("GET", "/w/<id>", 201)) == 1, "closing twice counts once"
    assert value("http_server_active_requests", http_request_method="GET") == 0
    assert b"http_server_request_duration_seconds_bucket" in get(wrapped, "/metrics")[1]


def test_wsgi_applications_that_raise_count_as_500(value: Callable[..., float]) -> None:
    from tocsin_instrument.wsgi import Metrics

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        raise ValueError

    with pytest.raises(ValueError):
        Metrics(app, route=lambda environ: "/r")({"REQUEST_METHOD": "PUT", "PATH_INFO": "/x"}, lambda *a: None)
    assert value(COUNT, **labels("PUT", "/r", 500)) == 1
    assert value("http_server_active_requests", http_request_method="PUT") == 0


def test_the_buckets_are_the_contract_s() -> None:
    from tocsin_instrument.http_server import BUCKETS

    assert BUCKETS == (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
