"""The drill: once a day a harmless message through every way by which people are paged, and what is known of each way since.

A way (lane) is one provider with its account: a mail server, a chat's webhook, an SMS account. It is proven when it accepted
anything, drill or page; one that is unproven for too long, or whose drill failed, raises `tocsin_channel_unproven` (rule
TocsinChannelUnproven).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents.oncall import resolve, wall_time
from tocsin.incidents.people import Directory
from tocsin.incidents.policy import held_reason, quiet_until
from tocsin.metrics import Gauge
from tocsin.model.event import SYSTEM, Event
from tocsin.model.notification import Notification, NotificationKind, NotificationState
from tocsin.model.ports import Random
from tocsin.state import events, outbox
from tocsin.state.schema import drills, notifications, timers

KIND = "drill"
_TTL_MS = 3_600_000
_LANDED = ("accepted", "delivered", "read")
_LOST = ("failed", "expired")
_LOOK_MS = 30_000

proven_at = Gauge("tocsin_channel_proven_timestamp_seconds", "When a provider last accepted anything.", ["lane"])
unproven = Gauge("tocsin_channel_unproven", "1 when a way to page people failed its drill or is unproven for too long.", ["lane"])


@dataclass(frozen=True, slots=True)
class Way:
    """One address of a lane. `ref` as in `notifications.settings_ref`."""

    lane: str
    channel: str
    ref: str

    @property
    def recipient(self) -> str:
        return self.ref.partition(":")[2].split("/")[0]


@dataclass(frozen=True, slots=True)
class DrillSettings:
    at_minute: int = 600
    """Minute of the day in `time_zone`."""
    time_zone: str = "UTC"
    channels: tuple[str, ...] = ()
    """Only these; empty = all."""
    to: tuple[str, ...] = ()
    """Users and receivers that take part; empty = all."""
    stale_after_ms: int = 36 * 3_600_000

    def takes(self, way: Way) -> bool:
        return (not self.channels or way.channel in self.channels) and (not self.to or way.recipient in self.to)


@dataclass(slots=True)
class Drills:
    """`settings` None = no drill: what is known of each way is kept up to date all the same."""

    settings: DrillSettings | None = None
    _shown: set[str] = field(default_factory=set)

    def look(self, tx: Connection, directory: Directory, ways: Sequence[Way], now_ms: int, random: Random) -> int:
        """Start the drill when it is due, judge what came of the last one; returns when to look again."""
        settings = self.settings
        wanted = [way for way in ways if settings is None or settings.takes(way)]
        due_ms = self._due(tx, now_ms)
        if settings is not None and due_ms <= now_ms:
            start(tx, directory, wanted, now_ms, random, by="Daily drill")
            due_ms = next_at(settings, now_ms)
            tx.execute(sa.update(timers).where(timers.c.kind == KIND).values(due_at_ms=due_ms))
        under_way = self._judge(tx, by_lane(wanted), now_ms)
        return min(due_ms, now_ms + _LOOK_MS) if under_way else due_ms

    def _due(self, tx: Connection, now_ms: int) -> int:
        """The timer's time; kept in step with the settings."""
        row = tx.execute(sa.select(timers).where(timers.c.kind == KIND)).first()
        if self.settings is None:
            if row is not None:
                tx.execute(sa.delete(timers).where(timers.c.kind == KIND))
            return now_ms + 86_400_000
        plan = {"at": self.settings.at_minute, "time_zone": self.settings.time_zone}
        if row is not None and row.data == plan:
            return int(row.due_at_ms)
        due_ms = next_at(self.settings, now_ms)
        tx.execute(sa.delete(timers).where(timers.c.kind == KIND))
        tx.execute(sa.insert(timers).values(due_at_ms=due_ms, kind=KIND, subject="drill", version=0, data=plan))
        return due_ms

    def _judge(self, tx: Connection, lanes: Mapping[str, Sequence[Way]], now_ms: int) -> bool:
        """Bring the table and the metrics up to date; True while a drill's answer is awaited."""
        rows = {row.lane: row for row in tx.execute(sa.select(drills))}
        for gone in rows.keys() - lanes.keys():
            tx.execute(sa.delete(drills).where(drills.c.lane == gone))
        waiting = False
        for lane, ways in lanes.items():
            row = rows.get(lane)
            if row is None:
                tx.execute(sa.insert(drills).values(lane=lane, channel=ways[0].channel, started_ms=now_ms, state="never"))
                row = tx.execute(sa.select(drills).where(drills.c.lane == lane)).one()
            state, reason = _outcome(tx, row)
            proven_ms = max(row.proven_ms, _last_accepted(tx, ways))
            if (state, reason, proven_ms) != (row.state, row.reason, row.proven_ms):
                values = {"state": state, "reason": reason, "proven_ms": proven_ms}
                tx.execute(sa.update(drills).where(drills.c.lane == lane).values(**values))
            waiting = waiting or state in ("pending", "sending", "held")
            self._show(lane, state, proven_ms, row.started_ms, now_ms)
        for lane in self._shown - lanes.keys():
            proven_at.remove(lane)
            unproven.remove(lane)
        self._shown = set(lanes)
        return waiting

    def _show(self, lane: str, state: str, proven_ms: int, started_ms: int, now_ms: int) -> None:
        if proven_ms:
            proven_at.set(proven_ms / 1000, lane)
        unproven.set(float(self.settings is not None and doubtful(self.settings, state, proven_ms, started_ms, now_ms)), lane)


def doubtful(settings: DrillSettings, state: str, proven_ms: int, started_ms: int, now_ms: int) -> bool:
    """Its drill failed and nothing went through since, or nothing has for `stale_after_ms`."""
    if state in _LOST and proven_ms < started_ms:
        return True
    waits_since_ms = started_ms if state in ("never", "pending", "sending", "held") else 0
    return now_ms - max(proven_ms, waits_since_ms) > settings.stale_after_ms


def start(tx: Connection, directory: Directory, ways: Sequence[Way], now_ms: int, random: Random, *, by: str) -> list[str]:
    """One message a lane into the outbox; returns the ids. A place is asked before a person; people take turns by day."""
    ids = outbox.new_ids(tx, now_ms=now_ms, random=random)
    notes = []
    for lane, members in by_lane(ways).items():
        places = [way for way in members if way.ref.startswith("receiver:")] or list(members)
        way = places[now_ms // 86_400_000 % len(places)]
        notes.append(_note(next(ids), way, directory, now_ms, by))
        tx.execute(sa.delete(drills).where(drills.c.lane == lane, drills.c.state == "never"))
        known = tx.execute(sa.select(drills.c.proven_ms).where(drills.c.lane == lane)).scalar()
        values = {"channel": way.channel, "settings_ref": way.ref, "notification": notes[-1].id, "started_ms": now_ms}
        values |= {"state": "pending", "reason": ""}
        if known is None:
            tx.execute(sa.insert(drills).values(lane=lane, **values))
        else:
            tx.execute(sa.update(drills).where(drills.c.lane == lane).values(**values))
    outbox.enqueue(tx, notes)
    if notes:
        text = f"{by} through {len(notes)} way{'' if len(notes) == 1 else 's'}: {', '.join(by_lane(ways))}"
        events.record(tx, Event(now_ms, str(SYSTEM), "drilled", "drill", text, {"notifications": [note.id for note in notes]}))
    return [note.id for note in notes]


def _note(id_: str, way: Way, directory: Directory, now_ms: int, by: str) -> Notification:
    person = directory.persons.get(way.recipient) if way.ref.startswith("user:") else None
    held_ms = quiet_until(person.quiet_hours, "", now_ms) if person else 0
    return Notification(
        id=id_,
        incident=0,
        kind=NotificationKind.TEST,
        channel=way.channel,
        address=way.ref.partition(":")[2],
        recipient=way.recipient,
        due_at_ms=max(now_ms, held_ms),
        created_ms=now_ms,
        expires_ms=max(now_ms, held_ms) + _TTL_MS,
        reason=f"{by}: proves that {way.lane} can page",
        dedup_key=f"drill/{id_}",
        settings_ref=way.ref,
        payload={"title": "Drill, nothing to do", "text": "Tocsin proves once a day that this channel works.", "drill": True},
        state=NotificationState.HELD if held_ms else NotificationState.PENDING,
        state_reason=held_reason(person.quiet_hours, held_ms) if person and person.quiet_hours and held_ms else "",
        order_key=f"drill/{way.ref}",
    )


def next_at(settings: DrillSettings, now_ms: int) -> int:
    """The next time of day of the settings after `now_ms`; a wall time that does not exist is the first instant after the gap."""
    day = wall_time(now_ms, settings.time_zone).replace(hour=0, minute=0, second=0, microsecond=0)
    while (t_ms := resolve(day + timedelta(minutes=settings.at_minute), settings.time_zone)) <= now_ms:
        day += timedelta(days=1)
    return t_ms


def by_lane(ways: Sequence[Way]) -> dict[str, list[Way]]:
    found: dict[str, list[Way]] = {}
    for way in ways:
        found.setdefault(way.lane, []).append(way)
    return found


def _outcome(tx: Connection, row: Any) -> tuple[str, str]:
    if not row.notification:
        return row.state, row.reason
    c = notifications.c
    note = tx.execute(sa.select(c.state, c.state_reason).where(c.id == row.notification)).first()
    return (note.state, note.state_reason) if note is not None else (row.state, row.reason)


def _last_accepted(tx: Connection, ways: Sequence[Way]) -> int:
    c = notifications.c
    query = sa.select(sa.func.max(c.done_ms)).where(c.settings_ref.in_([way.ref for way in ways]), c.state.in_(_LANDED))
    return int(tx.execute(query).scalar() or 0)


# -- reading --


def ways_rows(tx: Connection, settings: DrillSettings | None, now_ms: int, ways: Sequence[Way] = ()) -> Iterator[dict[str, Any]]:
    """What is known of each way, for status and dashboard (api.ts WayRow).

    The table follows within a minute; a way that it does not call proven is asked for among `ways`, so that the first message
    that is accepted shows at once.
    """
    lanes = by_lane(ways)
    for row in tx.execute(sa.select(drills).order_by(drills.c.lane)).all():
        proven_ms = row.proven_ms or _last_accepted(tx, lanes.get(row.lane, ()))
        doubt = settings is not None and doubtful(settings, row.state, proven_ms, row.started_ms, now_ms)
        yield {
            "lane": row.lane,
            "channel": row.channel,
            "through": row.settings_ref.partition(":")[2],
            "notification": row.notification,
            "drilled_ms": row.started_ms if row.notification else 0,
            "state": row.state,
            "reason": row.reason,
            "proven_ms": proven_ms,
            "unproven": doubt,
        }
