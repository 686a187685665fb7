"""The OpenAPI 3.1 document of `/api/tocsin/v1`, made from the route table: shapes and bodies are the types themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import pydantic
from starlette.requests import Request
from starlette.responses import Response

from tocsin.web.answers import bytes_answer, dumps
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Permission

_REF = "#/components/schemas/{model}"
_ERROR = "ProblemDetails"
"""RFC 9457. Not `Problem`: that is what the configuration has."""
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The `etag` of the thing as it was seen; when it has changed since, the answer is 412 with the current ETag.",
}


def openapi_endpoint(prefix: str, endpoints: Sequence[Endpoint], desk: Desk) -> Endpoint:
    """`<prefix>/openapi.json`, computed at the first request."""

    @cache
    def body() -> bytes:
        return dumps(document(endpoints, prefix=prefix, version=desk.parts.version))

    async def openapi(request: Request) -> Response:
        """This description."""
        return await bytes_answer(request, body())

    return Endpoint(prefix + "/openapi.json", openapi, permission=Permission.VIEWER)


def document(endpoints: Sequence[Endpoint], *, prefix: str, version: str) -> dict[str, Any]:
    """The document as a value."""
    schemas: dict[str, Any] = {_ERROR: _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if not endpoint.path.startswith(prefix + "/"):
            continue  # a neighbour, such as a calendar's address
        path = re.sub(r"\{(\w+)(?::\w+)?\}", r"{\1}", endpoint.path.removeprefix(prefix))
        for method in sorted((endpoint.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(endpoint, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin", "version": version},
        "servers": [{"url": prefix}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "tocsin_session"},
            },
        },
    }


def _operation(endpoint: Endpoint, method: str, schemas: dict[str, Any]) -> dict[str, Any]:
    ok: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.answer is not None and endpoint.status != 204:
        ok["content"] = {"application/json": {"schema": _schema(endpoint.answer, schemas, "serialization")}}
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": f"{method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', endpoint.path)}".rstrip("_"),
        "x-permission": endpoint.permission.value,
        "parameters": [
            *(_parameter(name, kind) for name, kind in re.findall(r"\{(\w+)(?::(\w+))?\}", endpoint.path)),
            *([_IF_MATCH] if endpoint.mark is not None else []),
        ],
        "responses": {
            str(endpoint.status): ok,
            "default": {
                "description": "What went wrong",
                "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model=_ERROR)}}},
            },
        },
    }
    if endpoint.body is not None:
        schema = _schema(endpoint.body, schemas, "validation")
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameter(name: str, kind: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 0} if kind == "int" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _schema(shape: Any, schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """A schema for `shape`; its definitions join `schemas`."""
    made = pydantic.TypeAdapter(shape).json_schema(mode=mode, ref_template=_REF)
    schemas.update(made.pop("$defs", {}))
    if made.get("type") == "object" and "title" in made and "properties" in made:
        schemas[made["title"]] = made
        return {"$ref": _REF.format(model=made["title"])}
    return made
