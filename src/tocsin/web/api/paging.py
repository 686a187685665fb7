"""Pages of long lists, newest first: `limit`, and an opaque `cursor` made of the last row's instant and id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tocsin.web.forms import row_number
from tocsin.web.problem import Refused

_DEFAULT = 200
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Page:
    size: int = _DEFAULT
    before_ms: int = 0
    """Only rows that come after (before_ms, before_id) in the order newest first; 0 = from the newest."""
    before_id: str = ""

    def narrow(self, query: sa.Select[Any], t_ms: sa.Column[int], row_id: sa.Column[Any]) -> sa.Select[Any]:
        """`query` in page order, cut to this page."""
        if self.before_ms:
            counted = isinstance(row_id.type, sa.Integer | sa.BigInteger)
            key: Any = (row_number(self.before_id) or 0) if counted else self.before_id
            query = query.where(sa.or_(t_ms < self.before_ms, sa.and_(t_ms == self.before_ms, row_id < key)))
        return query.order_by(t_ms.desc(), row_id.desc()).limit(self.size)

    def next_after(self, count: int, t_ms: int, row_id: Any) -> str:
        """The cursor behind the last row; empty when the page was not full."""
        return f"{t_ms}.{row_id}" if count >= self.size else ""


def page_of(query: Mapping[str, str]) -> Page:
    """`?limit=&cursor=`. Raises Refused 400."""
    limit, cursor = query.get("limit", ""), query.get("cursor", "")
    if limit and not (limit.isdecimal() and 1 <= int(limit) <= _MOST):
        raise Refused(400, "bad_limit", f"limit: expected a number from 1 to {_MOST}")
    before, _, row_id = cursor.partition(".")
    if cursor and not (before.isdecimal() and len(before) < 17 and row_id.isalnum() and len(row_id) <= 32):
        raise Refused(400, "bad_cursor", "cursor: expected `next` of the page before")
    return Page(int(limit or _DEFAULT), int(before or 0), row_id)
