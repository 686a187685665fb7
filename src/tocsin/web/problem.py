"""Errors as each family of routes words them: problem+json, Prometheus's, Alertmanager's, plain text, or a page."""

from __future__ import annotations

import http
from collections.abc import Mapping

import orjson
from starlette.responses import PlainTextResponse, Response

from tocsin.web.endpoint import Errors
from tocsin.web.html import page

# What Prometheus calls a failure, by status (web/api/v1/api.go); ours for the rest.
_PROMETHEUS_TYPES = {
    400: "bad_data",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    406: "not_acceptable",
    413: "bad_data",
    422: "execution",
    499: "canceled",
    503: "unavailable",
    504: "timeout",
}


class Refused(Exception):
    """A request is refused: `status`, a stable `code` and a text for people; `headers` go with the answer."""

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.status = status
        self.code = code


def not_found(accept: str = "", home: str = "/") -> Response:
    """What an unknown path answers: a page to a browser (`accept` of its request), else the text that Grafana recognises."""
    sure = {"X-Content-Type-Options": "nosniff"}
    if "text/html" not in accept:
        return PlainTextResponse("404 page not found\n", 404, headers=sure)
    lines = ("404 page not found. The link may be from another version of Tocsin, or cut off at its end.",)
    shown = page("Nothing at this address", lines, links=(("Go to the overview", home),), prefix=home.rstrip("/"))
    return Response(shown, 404, media_type="text/html", headers=sure)


def error_response(errors: Errors, status: int, code: str, detail: str, *, request_id: str = "") -> Response:
    match errors:
        case Errors.PROBLEM:
            return problem(status, code, detail, request_id=request_id)
        case Errors.PROMETHEUS:
            return prometheus_error(status, _PROMETHEUS_TYPES.get(status, "internal"), detail)
        case Errors.ALERTMANAGER:
            return Response(orjson.dumps(detail) + b"\n", status, media_type="application/json")
        case Errors.PAGE:
            title = http.HTTPStatus(status).phrase
            return Response(page(title, [detail], note=f"request {request_id}"), status, media_type="text/html")
        case Errors.PLAIN:
            return PlainTextResponse(f"{detail}\n", status)


def problem(status: int, code: str, detail: str, *, request_id: str = "") -> Response:
    """RFC 9457; `type` is a stable word, documented in docs/reference/api.md."""
    body = {
        "type": f"urn:tocsin:{code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    return Response(orjson.dumps(body), status, media_type="application/problem+json")


def prometheus_error(status: int, error_type: str, error: str) -> Response:
    body = {"status": "error", "errorType": error_type, "error": error}
    return Response(orjson.dumps(body), status, media_type="application/json")
