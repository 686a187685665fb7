"""What people and the configuration changed lately, for the home screen; of a scope, what concerns it or may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.formats.alertmanager_json import matcher_from_json
from tocsin.model.labels import Matcher
from tocsin.state.schema import events, silences
from tocsin.web.api.scope import Scope
from tocsin.web.api.shapes import ChangeRow

_SHOWN = 20
_LOOKED_AT = 400
"""Of a scope: so many of the newest are judged."""
_VERBS = (
    "config_loaded", "config_refused", "silenced", "silence_expired", "marked", "check_added", "check_removed", "check_paused",
    "check_resumed", "override_added", "override_removed", "imported", "import_removed",
)  # fmt: skip


def recent_changes(
    tx: Connection, until_ms: int, scope: Scope, labels_of: Mapping[str, Mapping[str, str]]
) -> Sequence[ChangeRow]:
    """The newest first. `labels_of`: check id -> its labels, of the checks that there are."""
    query = sa.select(events).where(events.c.verb.in_(_VERBS), events.c.t_ms <= until_ms)
    found = tx.execute(query.order_by(events.c.id.desc()).limit(_LOOKED_AT if scope else _SHOWN)).all()
    if not scope:
        return [_row(row) for row in found]
    matchers_of = _silences(tx, {row.subject.partition(":")[2] for row in found if row.subject.startswith("silence:")})
    judged = ((row, _judge(row.subject, scope, labels_of, matchers_of)) for row in found)
    return [_row(row, of_all=verdict is None) for row, verdict in judged if verdict is not False][:_SHOWN]


def _judge(
    subject: str,
    scope: Scope,
    labels_of: Mapping[str, Mapping[str, str]],
    matchers_of: Mapping[str, Sequence[Matcher]],
) -> bool | None:
    """Does a change concern the scope? None = it is one of everything, or nothing tells."""
    kind, _, name = subject.partition(":")
    match kind:
        case "check" if name in labels_of:
            return scope.holds(labels_of[name])
        case "service" if name:
            return scope.judge({"service": name})
        case "silence" if name in matchers_of:
            return scope.touches(matchers_of[name])
        case _:
            return None


def _silences(tx: Connection, ids: set[str]) -> dict[str, list[Matcher]]:
    rows = tx.execute(sa.select(silences.c.id, silences.c.matchers).where(silences.c.id.in_(ids))) if ids else ()
    return {row.id: [matcher_from_json(entry) for entry in row.matchers] for row in rows}


def _row(row: Any, *, of_all: bool = False) -> ChangeRow:
    return ChangeRow(row.t_ms, row.actor, row.text, row.subject, of_all)
