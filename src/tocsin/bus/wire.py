"""What crosses the core's socket.

POST /command/{name}   {"actor": {...}, "args": {...}}   -> 200 {"result": ...} | status {"error": {"code", "message"}}
POST /ingest/{kind}    raw bytes, the sender's headers   -> status, content type and bytes, passed through
GET  /stream           -> one JSON object a line: {"id": n, "topic": "...", "subject": "..."}; {} every 5 s as heartbeat
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tocsin.model.event import Actor

_JSON = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

Args = Mapping[str, Any]
CommandHandler = Callable[[Args, Actor], Awaitable[Any]]
"""Answers with JSON values (dataclasses and numpy scalars are fine); raises CommandError to refuse."""


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """Bytes that somebody pushed, with what is needed to read them. Header names are lower case."""

    body: bytes
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path: str = ""
    actor: Actor = Actor("integration", "push")


@dataclass(frozen=True, slots=True)
class IngestAnswer:
    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


IngestHandler = Callable[[IngestRequest], Awaitable[IngestAnswer]]


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed; ask the state database or a query what. `id` grows by one; a gap means: read everything again."""

    id: int
    topic: str
    subject: str = ""


def to_json(value: Any) -> bytes:
    """JSON of plain values, dataclasses, numpy scalars and mappings such as Labels."""
    return orjson.dumps(value, option=_JSON, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} does not cross the socket")
