"""The dispatcher: takes alerts in, groups them, and hands pages on. A loop around pure decisions; all it knows is in rows.

    intake ─▶ merge ─▶ alerts, episodes ─▶ route ─▶ groups ──due──▶ look (stages.py) ─▶ sink(tx, page) ─▶ incidents
                                            silences, inhibition ─┘

One step is one transaction. A restart goes on where the rows stand: a `group_wait` that ran is a column, not a sleeping task.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import Connection

from tocsin.alerts import notice, rows
from tocsin.alerts.preview import preview_silence
from tocsin.alerts.route import default_routing
from tocsin.alerts.silence import expire as expire_value
from tocsin.alerts.silence import set_silence as set_silence_value
from tocsin.alerts.silence import silence_mark
from tocsin.alerts.step import Plan, Stepped, step
from tocsin.clock import Clock, until_woken
from tocsin.errors import CommandError
from tocsin.formats.alertmanager_json import silence_from_command
from tocsin.formats.matchers import format_matchers
from tocsin.formats.routing_json import routing_to_json
from tocsin.metrics import Counter, Gauge
from tocsin.model.alert import Alert
from tocsin.model.event import SYSTEM, Actor, Event
from tocsin.model.ports import Changed, PageSink
from tocsin.model.route import Routing, Silence, SilenceState
from tocsin.state import events, intake
from tocsin.state.marks import hold
from tocsin.state.sql import Database
from tocsin.state.steps import Steps

_LONGEST_SLEEP_MS = 15_000
_PAGES = Counter("tocsin_alerts_pages_total", "Pages handed on to incidents, by reason.", ["reason"])
_FIRING = Gauge("tocsin_alerts_firing", "Alerts that fire now, suppressed or not.")
_INTAKE = Counter("tocsin_alerts_intake_total", "Alert reports taken in.")


class Dispatcher:
    """The alerts stage of the core. Construct, `apply(routing)`, then `run()`; `wake()` after rows were put into the intake."""

    def __init__(
        self,
        *,
        db: Database,
        sink: PageSink,
        clock: Clock,
        changed: Changed,
        wake_incidents: Callable[[], None] = lambda: None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._db = db
        self._sink = sink
        self._clock = clock
        self._changed = changed
        self._wake_incidents = wake_incidents
        self._new_id = new_id
        self._wake = asyncio.Event()
        self._version = new_id()
        self._plan = Plan.of(default_routing())
        self._regroup = True
        self._refresh = True
        self._steps = Steps(clock, "alerts")

    # -- the stage --------------------------------------------------------------------------------------------------------

    def apply(self, routing: Routing) -> None:
        """Use this routing from the next step on; alerts are grouped anew, nobody is told twice of the same firing."""
        self._version = self._new_id()
        self._plan = Plan.of(routing)
        self._regroup = True
        self._refresh = True
        self.wake()

    @property
    def routing(self) -> Routing:
        return self._plan.routing

    def wake(self) -> None:
        """There is something in the intake. Only a hint, and only from the loop's thread."""
        self._wake.set()

    async def run(self) -> None:
        """Step whenever something is due or somebody wakes us; never returns."""
        while True:
            self._wake.clear()
            due_ms = await self.step()
            await until_woken(self._clock, self._wake, min(due_ms, self._clock.now_ms() + _LONGEST_SLEEP_MS))

    async def step(self) -> int:
        """Do everything that is due now, in one transaction; returns when to look next (ms)."""
        regroup, refresh = self._regroup, self._refresh
        self._regroup = self._refresh = False
        plan = self._plan

        def work(tx: Connection) -> Stepped:
            return self._stepped(tx, plan, regroup=regroup, refresh=refresh)

        try:
            done = await self._db.write(work)
        except BaseException:
            self._regroup, self._refresh = self._regroup or regroup, self._refresh or refresh
            raise
        self._after(done)
        return done.next_ms

    def _stepped(self, tx: Connection, plan: Plan, *, regroup: bool, refresh: bool) -> Stepped:
        """A step at the time of the writer. Whoever comes first after a step of the clock moves what waits."""
        jump_ms = self._steps.missing(tx)
        return step(tx, plan, self._sink, now_ms=self._clock.now_ms(), regroup=regroup, refresh=refresh, jump_ms=jump_ms)

    def _after(self, done: Stepped) -> None:
        _INTAKE.inc(by=done.taken)
        _FIRING.set(done.firing)
        for reason in done.pages:
            _PAGES.inc(reason.value)
        if done.pages:
            self._wake_incidents()
            self._changed("incidents")
        if done.changed:
            self._changed("alerts")

    # -- commands ---------------------------------------------------------------------------------------------------------

    async def post(self, alerts: list[Alert], actor: Actor = SYSTEM) -> None:
        """Alerts from outside (Alertmanager API, webhook), checked and completed; durable when this returns."""
        now_ms = self._clock.now_ms()
        source = f"api:{actor.name}"
        named = [alert if alert.source else replace(alert, source=source) for alert in alerts]
        await self._db.write(lambda tx: intake.put(tx, named, now_ms=now_ms, trace_id=uuid.uuid4().hex[:16]))
        self.wake()

    async def set_silence(self, silence: Silence, actor: Actor = SYSTEM, *, seen: Sequence[str] = ()) -> str:
        """Create (`id` empty) or change a silence, while it has one of the marks `seen` (none = however it is).

        Returns its id, durable and in force. Raises CommandError 400, 404, 412.
        """
        now_ms = self._clock.now_ms()
        new_id = self._new_id()
        plan = self._plan

        def work(tx: Connection) -> tuple[str, Stepped]:
            # What it covers is noted in the same transaction: a page claimed right after the commit knows of it.
            silence_id = _set_silence(tx, silence, actor, new_id=new_id, now_ms=now_ms, seen=seen)
            return silence_id, self._stepped(tx, plan, regroup=False, refresh=True)

        silence_id, done = await self._db.write(work)
        self._after(done)
        self._silences_changed(silence_id)
        return silence_id

    async def expire_silence(self, silence_id: str, actor: Actor = SYSTEM, *, seen: Sequence[str] = ()) -> None:
        """End a silence now; one that has ended stays as it is. Raises CommandError 404, 412."""
        now_ms = self._clock.now_ms()
        await self._db.write(lambda tx: _expire_silence(tx, silence_id, actor, now_ms=now_ms, seen=seen))
        self._silences_changed(silence_id)

    async def groups(self) -> list[dict[str, Any]]:
        """The groups with their members, timers and what was told, as JSON values."""
        return await self._db.read(_groups)

    async def own_alerts(self, since_ms: int) -> list[Alert]:
        """What our own rules and heartbeats say: all that fires and what ended at or after `since_ms`; for sending on."""
        return await self._db.read(lambda connection: rows.read_own_alerts(connection, since_ms))

    async def command_set_silence(self, args: Mapping[str, Any], actor: Actor) -> dict[str, str]:
        """`silence.set`: {matchers: [{name, value, isRegex, isEqual}], ends_at_ms | duration_ms, comment, id?, seen?}."""
        try:
            wanted = silence_from_command(args, now_ms=self._clock.now_ms())
        except (KeyError, TypeError, ValueError) as error:
            raise CommandError(400, "bad_silence", f"silence invalid: {error}") from None
        wanted = replace(wanted, created_by=wanted.created_by or actor.name)
        return {"id": await self.set_silence(wanted, actor, seen=args.get("seen", ()))}

    async def command_expire_silence(self, args: Mapping[str, Any], actor: Actor) -> dict[str, str]:
        """The command `silence.expire`: {id, seen?}."""
        await self.expire_silence(str(args["id"]), actor, seen=args.get("seen", ()))
        return {}

    async def command_routing(self, args: Mapping[str, Any], _actor: Actor) -> dict[str, Any]:
        """The command `alerts.routing`: {version} -> {version, routing}, the latter null when `version` is still the one."""
        same = args.get("version") == self._version
        return {"version": self._version, "routing": None if same else routing_to_json(self._plan.routing)}

    def _silences_changed(self, silence_id: str) -> None:
        self._refresh = True
        self._changed("silences", silence_id)
        self.wake()


def _set_silence(tx: Connection, wanted: Silence, actor: Actor, *, new_id: str, now_ms: int, seen: Sequence[str]) -> str:
    known = rows.read_silence(tx, wanted.id) if wanted.id else None
    if known is not None:
        hold(seen, silence_mark(known))
    change = set_silence_value(wanted, known, new_id=new_id, now_ms=now_ms)
    rows.write_silences(tx, change.rows)
    matchers = format_matchers(wanted.matchers)
    shown = preview_silence(tx, wanted.matchers, now_ms)
    made = next(row for row in change.rows if row.id == change.id)
    for row in change.rows:
        if row is not made:
            notice.withdraw(tx, row, now_ms=now_ms)
    if shown.warning:
        notice.give(tx, made, by=wanted.created_by or str(actor), warning=shown.warning, now_ms=now_ms)
    warning = f" {shown.warning}." if shown.warning else ""
    data = {
        "matchers": matchers,
        "starts_at_ms": wanted.starts_at_ms,
        "ends_at_ms": wanted.ends_at_ms,
        "comment": wanted.comment,
        "created_by": wanted.created_by,
        "replaces": wanted.id if change.created else "",
        "covers_everything": shown.covers_everything,
        "matching_now": len(shown.now),
        "cannot_be_silenced": shown.spared,
    }
    verb = "silenced" if change.created else "silence_changed"
    text = f"{wanted.created_by or actor} silenced {matchers}: {wanted.comment}.{warning}"
    events.record(tx, Event(now_ms, str(actor), verb, f"silence:{change.id}", text, data, cause=actor.via))
    return change.id


def _expire_silence(tx: Connection, silence_id: str, actor: Actor, *, now_ms: int, seen: Sequence[str]) -> None:
    known = rows.read_silence(tx, silence_id)
    if known is None:
        raise CommandError(404, "not_found", f"silence {silence_id} not found")
    hold(seen, silence_mark(known))
    if known.state(now_ms) is SilenceState.EXPIRED:
        return
    rows.write_silences(tx, [expire_value(known, now_ms)])
    notice.withdraw(tx, known, now_ms=now_ms)
    text = f"{actor} ended the silence {format_matchers(known.matchers)}"
    events.record(tx, Event(now_ms, str(actor), "silence_expired", f"silence:{silence_id}", text, cause=actor.via))


def _groups(connection: Connection) -> list[dict[str, Any]]:
    groups = rows.read_groups(connection)
    members = rows.read_members(connection, groups)
    return [
        {
            "key": group.key,
            "group_key": group.group_key,
            "route_id": group.route_id,
            "receiver": group.receiver,
            "labels": dict(group.labels.pairs),
            "created_ms": group.created_ms,
            "next_flush_ms": group.next_flush_ms,
            "last_notified_ms": group.last_notified_ms,
            "notified_firing": dict(group.notified_firing),
            "members": members.get(key, []),
        }
        for key, group in groups.items()
    ]
