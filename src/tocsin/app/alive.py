"""Is the way of a page walkable right now? One look per hop, each with what it saw; the dead man's switch and status read it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.errors import TocsinError
from tocsin.model.duration import human_duration
from tocsin.model.incident import IncidentState
from tocsin.state.schema import alert_groups, alert_intake, alerts, incidents, notifications

if TYPE_CHECKING:
    from tocsin.app.core import Core

LATE_MS = 180_000
"""A hop that has not moved for this long does not work."""
_OVERDUE_MS = 120_000
_WATCHDOG = "Watchdog"
"""The shipped rule that always fires (infrastructure/monitoring/alerts.yml)."""


@dataclass(frozen=True, slots=True)
class Hop:
    name: str
    ok: bool
    text: str


async def path(core: Core) -> list[Hop]:
    """Samples, rules, alerts, incidents, messages: in the order in which a page passes them."""
    now_ms = core.clock.now_ms()
    return [
        await _samples(core, now_ms),
        _recent("rules", core.evaluator.last_evaluation_ms(), now_ms, "evaluated"),
        *await _stages(core, now_ms),
    ]


async def broken(core: Core) -> str:
    """The first hop that does not work, in words; empty = a page would pass."""
    return next((f"{hop.name}: {hop.text}" for hop in await path(core) if not hop.ok), "")


async def _samples(core: Core, now_ms: int) -> Hop:
    """Our own metrics were collected, stored and can be queried."""
    try:
        result = await asyncio.to_thread(core.engine.instant, 'max(timestamp(tocsin_build_info{job="tocsin"}))', now_ms)
    except TocsinError as error:
        return Hop("samples", False, f"cannot be queried: {error}")
    vector = result.vector
    last_ms = int(vector.values[0] * 1000) if vector is not None and len(vector.values) else 0
    return _recent("samples", last_ms, now_ms, "stored")


def _recent(name: str, last_ms: int, now_ms: int, verb: str) -> Hop:
    if not last_ms:
        return Hop(name, False, f"none was {verb} yet")
    ago_ms = max(now_ms - last_ms, 0)
    return Hop(name, ago_ms < LATE_MS, f"last {verb} {human_duration(ago_ms)} ago")


async def _stages(core: Core, now_ms: int) -> list[Hop]:
    try:
        watchdog = core.evaluator.has_rule(_WATCHDOG)
        routed, steps, pages = await core.db.read(
            lambda tx: (_alerts(tx, now_ms, watchdog=watchdog), _steps(tx, now_ms), _pages(tx, now_ms))
        )
    except (TocsinError, sa.exc.SQLAlchemyError) as error:
        return [Hop("alerts", False, f"the state database does not answer: {error}")]
    looked = _recent("incidents", core.escalator.looked_ms, now_ms, "looked at")
    sent = _recent("messages", core.deliverer.looked_ms, now_ms, "looked at")
    return [routed, looked if steps is None else steps, sent if pages is None else pages]


def _alerts(tx: Connection, now_ms: int, *, watchdog: bool) -> Hop:
    oldest = tx.execute(sa.select(sa.func.min(alert_intake.c.received_ms))).scalar()
    if oldest and now_ms - oldest > _OVERDUE_MS:
        return Hop("alerts", False, f"one waits to be routed since {human_duration(now_ms - oldest)}")
    c = alert_groups.c
    due = tx.execute(sa.select(sa.func.min(c.next_flush_ms)).where(c.next_flush_ms > 0)).scalar()
    if due and now_ms - due > _OVERDUE_MS:
        return Hop("alerts", False, f"a group is overdue since {human_duration(now_ms - due)}")
    if watchdog and not _watchdog_fires(tx):
        return Hop("alerts", False, f"{_WATCHDOG}, which always fires, has not come from the rules")
    return Hop("alerts", True, "none waits")


def _watchdog_fires(tx: Connection) -> bool:
    """The dispatcher knows that it does: rules, state database and intake have brought it there."""
    c = alerts.c
    named = sa.select(c.labels).where(c.ends_at_ms == 0, sa.cast(c.labels, sa.Text).contains(f'"{_WATCHDOG}"'))
    return any(labels.get("alertname") == _WATCHDOG for labels in tx.execute(named).scalars())


def _steps(tx: Connection, now_ms: int) -> Hop | None:
    c = incidents.c
    due = tx.execute(
        sa.select(sa.func.min(c.next_escalation_at_ms)).where(
            c.state == IncidentState.TRIGGERED.value, c.next_escalation_at_ms > 0
        )
    ).scalar()
    late_ms = now_ms - due if due else 0
    return Hop("incidents", False, f"an escalation is overdue since {human_duration(late_ms)}") if late_ms > _OVERDUE_MS else None


def _pages(tx: Connection, now_ms: int) -> Hop | None:
    c = notifications.c
    due = tx.execute(
        sa.select(sa.func.min(c.due_at_ms)).where(c.state == "pending", c.kind == "page", c.attempts == 0, c.due_at_ms > 0)
    ).scalar()
    late_ms = now_ms - due if due else 0
    return Hop("messages", False, f"a page waits untried since {human_duration(late_ms)}") if late_ms > _OVERDUE_MS else None
