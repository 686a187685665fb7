"""Pages of lists that are put together in memory: `?limit=`, `?cursor=`, and `next` behind the last row of a page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from tocsin.web.problem import Refused

Row = TypeVar("Row")
_DEFAULT = 1000
MOST_ROWS = 5000


def cut(
    rows: Sequence[Row], query: Mapping[str, str], key: Callable[[Row], Sequence[Any]], *, size: int = _DEFAULT
) -> tuple[Sequence[Row], str]:
    """(rows of the page asked for, the cursor of the next; empty = this was the last).

    `key` orders the rows and names each: [sort values..., id]. A cursor is the key of the last row before it, so that rows which
    come and go meanwhile shift nothing. Raises Refused 400.
    """
    limit, cursor = query.get("limit", ""), query.get("cursor", "")
    if limit and not (limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= MOST_ROWS):
        raise Refused(400, "bad_limit", f"limit: expected a number from 1 to {MOST_ROWS}")
    ordered = sorted(rows, key=lambda row: tuple(key(row)))
    if cursor:
        after = _read(cursor)
        try:
            ordered = [row for row in ordered if tuple(key(row)) > after]
        except TypeError:
            raise _bad_cursor() from None
    wanted = int(limit or size)
    page = ordered[:wanted]
    return page, _written(key(page[-1])) if len(ordered) > wanted else ""


def _written(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).rstrip(b"=").decode()


def _read(cursor: str) -> tuple[Any, ...]:
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    if not isinstance(found, list):
        raise _bad_cursor()
    return tuple(found)


def _bad_cursor() -> Refused:
    return Refused(400, "bad_cursor", "cursor: expected `next` of the page before")
