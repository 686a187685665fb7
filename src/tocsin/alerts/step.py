"""One step of the dispatcher inside one transaction: rows in, pure decisions, rows out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.alerts import admit, cover, rows, tell
from tocsin.alerts.regroup import regroup_all
from tocsin.alerts.route import RouteTree
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.silence import RETENTION_MS
from tocsin.alerts.suppress import Rules
from tocsin.alerts.timeinterval import next_look_ms
from tocsin.alerts.work import Work
from tocsin.model.alert import PageReason, Suppression
from tocsin.model.ports import PageSink
from tocsin.model.route import Routing
from tocsin.state import events
from tocsin.state.prepared import Prepared
from tocsin.state.schema import alert_groups, alert_intake, silences
from tocsin.state.schema import alerts as alerts_table

GRACE_MS = 120_000
"""After Tocsin was down or asleep, alerts from outside get at least this long to be reported again before they count as over."""
_ASLEEP_MS = 60_000
_REMEMBER_MS = 30 * 60_000
"""How long a resolved alert stays in `alerts`; its episode stays for good."""
_ALIVE_EVERY_MS = 10_000
_TIDY_EVERY_MS = 300_000
_CAUSE_EVERY_MS = 5_000
_FAR_MS = 2**62


@dataclass(frozen=True, slots=True)
class Stepped:
    """What a step came to."""

    next_ms: int
    taken: int
    firing: int
    pages: tuple[PageReason, ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A routing, prepared once per configuration."""

    routing: Routing
    tree: RouteTree
    rules: Rules

    @classmethod
    def of(cls, routing: Routing) -> Plan:
        return cls(routing, RouteTree(routing.root), Rules.of(routing))


def step(tx: Connection, plan: Plan, sink: PageSink, *, now_ms: int, regroup: bool, refresh: bool, jump_ms: int = 0) -> Stepped:
    """Take the intake in, end what expired, renew suppression, look at every due group.

    Two steps more than a minute apart mean that we were down or asleep; nothing expires because of that. `jump_ms` is by how much
    the wall clock was moved since the last step: what waits, waits as long as it would have.
    """
    work = Work(tx, plan.tree, plan.routing, plan.rules, sink, now_ms, seen_ms=rows.read_seen_ms(tx))
    if jump_ms:
        admit.follow_clock(work, jump_ms)
    if work.seen_ms and now_ms - work.seen_ms > _ASLEEP_MS:
        admit.extend_after_sleep(work, max(GRACE_MS, plan.routing.resolve_timeout_ms))
    if regroup:
        regroup_all(tx, plan.tree, now_ms)
    turned = admit.take_intake(work)
    admit.expire(work, turned)
    cover.renew(work, turned, everything=refresh)
    tell.look_at_due(work)
    rows.write_explanations(tx, work.sentences)
    events.record(tx, *work.events)
    if jump_ms or not 0 <= now_ms - work.seen_ms < _ALIVE_EVERY_MS:
        rows.write_seen_ms(tx, now_ms)
    if now_ms // _TIDY_EVERY_MS != work.seen_ms // _TIDY_EVERY_MS:
        rows.forget_alerts(tx, resolved_before_ms=now_ms - _REMEMBER_MS)
        rows.forget_silences(tx, ended_before_ms=now_ms - RETENTION_MS)
    firing, next_ms = _survey(tx, now_ms)
    return Stepped(
        next_ms=min(next_ms, _next_look(work)),
        taken=work.taken,
        firing=firing,
        pages=tuple(work.pages),
        changed=bool(work.taken or work.events),
    )


def _next_look(work: Work) -> int:
    """Maintenance begins and ends with a minute; what waits for its cause to show is looked at every few seconds."""
    if any(map(_waits, work.alerts.values())):
        return work.now_ms + _CAUSE_EVERY_MS
    return next_look_ms(work.now_ms) if work.rules.windows else _FAR_MS


def _waits(known: KnownAlert) -> bool:
    return any(cause.kind is Suppression.DEPENDENCY for cause in known.suppressed_by)


def _survey_query() -> sa.Select[Any]:
    now: sa.BindParameter[int] = sa.bindparam("now")
    ends = alerts_table.c.ends_at_ms
    counted = sa.select(sa.func.count()).where(sa.or_(ends == 0, ends > now)).select_from(alerts_table)
    waiting = sa.select(sa.func.count()).select_from(sa.select(alert_intake.c.seq).limit(1).subquery())
    edges = [sa.select(sa.func.min(alert_groups.c.next_flush_ms))] + [
        sa.select(sa.func.min(column)).where(column > now) for column in (ends, silences.c.starts_at_ms, silences.c.ends_at_ms)
    ]
    return sa.select(*(query.scalar_subquery() for query in (counted, waiting, *edges)))


_SURVEY = Prepared(_survey_query())


def _survey(tx: Connection, now_ms: int) -> tuple[int, int]:
    """How many alerts fire, and the next instant at which a timer, an alert's end or a silence's edge comes; in one query."""
    firing, more, *times = _SURVEY.first(tx, now=now_ms)
    return int(firing), now_ms if more else min((t for t in times if t is not None), default=_FAR_MS)
