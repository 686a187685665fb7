"""Which lines of the audit are asked for: who did it, what was done, about what, when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tocsin.incidents.questions import instant
from tocsin.state.schema import events
from tocsin.web.problem import Refused

_c = events.c
_BY = {"people": sa.not_(_c.actor.startswith("system:")), "tocsin": _c.actor.startswith("system:")}
_LONGEST = 200


def conditions(query: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    """Conditions of `by`, `verb`, `q`, `from` and `to`; all must hold. Raises Refused 400, CommandError 422 for an instant."""
    found: list[sa.ColumnElement[bool]] = []
    if by := query.get("by", ""):
        if by not in _BY:
            raise Refused(400, "bad_filter", f"by: expected people or tocsin, not {by[:40]!r}")
        found.append(_BY[by])
    if verbs := [verb for verb in query.get("verb", "").split(",") if verb]:
        found.append(_c.verb.in_(verbs))
    if text := query.get("q", "").strip()[:_LONGEST]:
        places: list[Any] = [_c.text, _c.actor, _c.subject, _c.verb]
        found.append(sa.or_(*(place.icontains(text, autoescape=True) for place in places)))
    if query.get("from"):
        found.append(_c.t_ms >= instant(query, "from", 0))
    if query.get("to"):
        found.append(_c.t_ms <= instant(query, "to", 0))
    return found
