"""Bodies and parameters of requests: URL-encoded forms, JSON into typed values, Prometheus's GET-or-POST parameters."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

import pydantic
from starlette.requests import Request

from tocsin.web.problem import Refused

T = TypeVar("T", bound=pydantic.BaseModel)
_MOST_FIELDS = 10_000
_ON_THE_LOOP = 128 * 1024


Instant = Annotated[int, pydantic.Field(ge=0, le=1 << 53)]
"""Milliseconds UTC in a body; whatever is larger is a mistake."""


class Body(pydantic.BaseModel):
    """A JSON body: unknown fields are errors."""

    model_config = pydantic.ConfigDict(extra="forbid")


async def read_body(request: Request, model: type[T]) -> T:
    """The JSON body as a value of `model`. Raises Refused 400 with the path of what is wrong."""
    raw = await request.body()
    try:
        return model.model_validate_json(raw or b"{}")
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise Refused(400, "bad_body", f"{place}: {first['msg']}") from None


async def read_form(request: Request) -> dict[str, str]:
    """Fields of a URL-encoded form, the first value of each."""
    return dict(reversed(await form_pairs(request)))


async def form_pairs(request: Request) -> list[tuple[str, str]]:
    """Pairs of a URL-encoded body, in order; empty for other content types. Raises Refused 400."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        return []
    body = await request.body()
    try:
        # A large form would keep the loop busy for seconds.
        return _pairs(body) if len(body) < _ON_THE_LOOP else await asyncio.to_thread(_pairs, body)
    except ValueError:
        raise Refused(400, "bad_body", "the form is not valid URL-encoded text") from None


def _pairs(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)


def row_number(text: str) -> int | None:
    """A row's number from a path or parameter; None when it cannot be one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


class Parameters:
    """Query-string and form parameters together, as Go's `r.FormValue`: the form's come first."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    @classmethod
    async def of(cls, request: Request) -> Parameters:
        form = await form_pairs(request) if request.method in ("POST", "PUT") else []
        # As Starlette's query_params reads it, without the three dictionaries that it makes.
        return cls([*form, *parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)])

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self._pairs if key == name), default)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]
