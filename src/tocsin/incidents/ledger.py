"""Writes one decision about an incident: its row, timeline, timers and notifications, all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.incidents import changes, receivers, rows, snapshot
from tocsin.incidents import incident as machine
from tocsin.incidents import policy as escalation
from tocsin.incidents.people import NO_ENDS, NO_UPDATES, Directory, Service
from tocsin.incidents.policy import Plan, Recipient, Turn
from tocsin.metrics import Counter
from tocsin.model.duration import human_duration
from tocsin.model.event import SYSTEM, Actor, Event
from tocsin.model.incident import Incident, IncidentState
from tocsin.model.notification import Notification, NotificationKind, NotificationState
from tocsin.model.ports import Random
from tocsin.state import events, outbox
from tocsin.state.prepared import Prepared
from tocsin.state.schema import notifications

pages_undeliverable = Counter(
    "tocsin_pages_undeliverable_total", "Pages that reached nobody: no person, no contact method, or every way failed."
)

PLACE_TTL_MS = 24 * 3_600_000
"""A place (chat, webhook) is owed every message for a day; a person's page gets stale within the hour."""
PAGE_TTL_MS = 3_600_000
_TTL_MS = {NotificationKind.PAGE: PAGE_TTL_MS, NotificationKind.RESOLVED: 24 * 3_600_000}
_UPDATE_TTL_MS = 900_000
_LATE_MS = 30_000
_MOST_STEPS_AT_ONCE = 50
_TELLING = (NotificationKind.PAGE.value, NotificationKind.UPDATE.value, NotificationKind.ACKNOWLEDGED.value)
_TOLD = ("accepted", "delivered", "read", "sending")
_c = notifications.c
_SAID = Prepared(
    sa.select(
        _c.id, _c.kind, _c.state, _c.recipient, _c.channel, _c.address, _c.settings_ref, _c.order_key, _c.reason, _c.attempts,
        _c.due_at_ms, _c.possible_repeat, _c.state_reason,
    )
    .where(_c.incident.in_(sa.bindparam("numbers", expanding=True)))
    .order_by(_c.id)
)  # fmt: skip


_KEY_SEPARATOR = "\n"
"""A group's key is its receiver's name, this, and Alertmanager's group key."""
_BodyFor = Callable[[str], dict[str, Any]]
"""Settings reference -> payload."""


@dataclass(slots=True)
class Ledger:
    """One transaction's pen. `touched` collects the incidents that were changed, for hints after the commit."""

    tx: Connection
    directory: Directory
    now_ms: int
    random: Random
    touched: set[int] = field(default_factory=set)
    _ids: Iterator[str] | None = None
    _paged: set[tuple[int, str]] = field(default_factory=set)
    """(incident, settings reference) paged in this transaction: one message, however many reasons."""
    news_of: str = ""
    """Key of the group whose page is being taken in: what changes by it is no news for the places of other groups."""

    # -- decisions --

    def change(self, incident: Incident, change: changes.Change) -> Incident:
        """Apply a change to a stored incident and write everything that follows from it."""
        after, effects = machine.apply(incident, change, self.now_ms, self.service(incident))
        if after is incident and not effects:
            return incident
        return self._write(after, effects)

    def begin(self, incident: Incident, *, muted_by: str = "") -> Incident:
        """Start a stored new incident whose alerts are written already."""
        after, effects = machine.opened(incident, self.now_ms, self.service(incident), muted_by=muted_by)
        return self._write(replace(after, updated_ms=self.now_ms), effects)

    def service(self, incident: Incident) -> Service:
        found = self.directory.services.get(incident.service)
        return found or Service(name=incident.service)

    # -- effects --

    def _write(self, incident: Incident, effects: Iterable[changes.Effect]) -> Incident:
        incident = rows.save(self.tx, incident)
        self.touched.add(incident.number)
        for effect in effects:
            self._effect(incident, effect)
        return self.run_due_steps(incident)

    def _effect(self, incident: Incident, effect: changes.Effect) -> None:
        match effect:
            case changes.Record():
                self.record(incident, effect.verb, effect.text, actor=effect.actor, cause=effect.cause)
            case changes.CancelPages():
                for number in rows.family(self.tx, incident.number):
                    self._cancel(number, effect.reason)
            case changes.Tell():
                self.tell(incident, effect.kind, effect.text, only=effect.only)
            case changes.PagePerson():
                self.page_person(incident, effect.person, effect.text)
            case changes.StartTimer():
                rows.start_timer(self.tx, incident.number, effect.kind, effect.due_at_ms)
            case changes.StopTimers():
                rows.stop_timers(self.tx, incident.number)

    def _cancel(self, number: int, reason: str) -> None:
        page = NotificationKind.PAGE
        if self.news_of:
            prefixes = (f"{receivers.PLACE}{self.news_of.partition(_KEY_SEPARATOR)[0]}/", "user:")
            count = outbox.cancel_of(self.tx, number, kind=page, prefixes=prefixes, reason=reason, now_ms=self.now_ms)
        else:
            count = outbox.cancel(self.tx, number, kinds=(page,), reason=reason, now_ms=self.now_ms)
        if count:
            text = f"{count} waiting page{'s' if count > 1 else ''} cancelled: {reason}"
            events.record(self.tx, Event(self.now_ms, str(SYSTEM), "pages_cancelled", f"incident:{number}", text, cause=reason))

    def record(self, incident: Incident, verb: str, text: str, *, actor: Actor = SYSTEM, cause: str = "", **data: Any) -> None:
        if actor.via:
            data["via"] = actor.via
        if actor.address:
            data["address"] = actor.address
        trace = {"trace": incident.trace_id} if incident.trace_id else {}
        subject = f"incident:{incident.number}"
        events.record(self.tx, Event(self.now_ms, str(actor), verb, subject, text, {**data, **trace}, cause))

    # -- escalation --

    def run_due_steps(self, incident: Incident) -> Incident:
        """Execute every step that is due; steps overdue after downtime run together."""
        reached_before = False
        for _ in range(_MOST_STEPS_AT_ONCE):
            due_ms = incident.next_escalation_at_ms
            if incident.state is not IncidentState.TRIGGERED or not 0 < due_ms <= self.now_ms:
                break
            due = escalation.turn(incident, self.directory, self.service(incident))
            if due is None:
                incident = rows.save(self.tx, replace(incident, next_escalation_at_ms=0))
                break
            plan = self._plan(incident, due)
            after = escalation.advance(incident, due, reached=bool(plan.told), reached_before=reached_before, now_ms=self.now_ms)
            incident = rows.save(self.tx, replace(after, updated_ms=self.now_ms))
            self._execute(incident, due, plan, late_ms=self.now_ms - due_ms)
            reached_before = reached_before or bool(plan.told)
        self.touched.add(incident.number)
        return incident

    def _plan(self, incident: Incident, due: Turn) -> Plan:
        if due.skipped:
            return Plan(not_told=tuple(escalation.NotTold(escalation.target_text(t), due.skipped) for t in due.targets))
        return escalation.reach(due.targets, incident, self.directory, self.now_ms, why=due.text)

    def _execute(self, incident: Incident, due: Turn, plan: Plan, *, late_ms: int) -> None:
        late = f", {human_duration(late_ms)} late (the monitor was down)" if late_ms > _LATE_MS else ""
        names = ", ".join(dict.fromkeys(recipient.who for recipient in plan.told)) or "nobody"
        self.record(
            incident,
            "escalated",
            f"{due.text}: {names}{late}",
            cause="final" if due.final else "step",
            index=due.index,
            loop=due.loop,
            told=len(plan.told),
        )
        self.page(incident, plan, step=due.text, late_ms=late_ms if late else 0)
        if due.final and not plan.told:
            pages_undeliverable.inc()
            self.record(incident, "nobody_to_page", "nobody can be paged: no person with a verified contact method is left")

    def page_person(self, incident: Incident, name: str, why: str) -> None:
        """Page one person outside the policy's steps; a name that is no person (a command line's user) is passed over."""
        plan = escalation.reach_person(name, incident, self.directory, self.now_ms, why=why)
        if plan.told:
            # Whoever holds it may be paged about it: the re-decision before sending must not stop that.
            self.page(incident, plan, step=why, anyway=incident.state is IncidentState.ACKNOWLEDGED)

    def page(
        self,
        incident: Incident,
        plan: Plan,
        *,
        step: str,
        late_ms: int = 0,
        text: str = "",
        anyway: bool = False,
        of_group: bool = False,
    ) -> int:
        """Put pages into the outbox, and a line on the timeline for everybody considered. Returns how many are new.

        `anyway`: for whoever holds it. `of_group`: to the places of a group that listens, whatever people do meanwhile.
        """
        marks = {name: True for name, holds in (("anyway", anyway), ("of_group", of_group)) if holds}
        body_for = self._bodies(incident, text=text, step=step, late_ms=late_ms, **marks)
        notes = []
        for recipient in plan.told:
            if (incident.number, recipient.settings_ref) in self._paged:
                continue
            self._paged.add((incident.number, recipient.settings_ref))
            body = body_for(recipient.settings_ref)
            notes.append(self.notification(incident, NotificationKind.PAGE, recipient, body))
            held = f", held by quiet hours until {_clock(recipient.held_until_ms)}" if recipient.held_until_ms else ""
            self.record(
                incident,
                "notified",
                f"{recipient.who} by {recipient.channel}: {recipient.why}{held}",
                cause=step,
                who=recipient.who,
                channel=recipient.channel,
                notification=notes[-1].id,
            )
        for other in plan.not_told:
            self.record(incident, "not_notified", f"{other.who}: {other.why}", cause=step, who=other.who)
        return outbox.enqueue(self.tx, notes)

    # -- telling those who know --

    def tell(self, incident: Incident, kind: NotificationKind, text: str, *, only: str | None = None) -> int:
        """Tell everybody who was paged. The end is also owed to places whose page is still under way."""
        parts = receivers.Parts.of(self.tx, incident)
        rows_ = [
            row
            for row in self._audience(incident, kind)
            if self._is_news(incident, row, kind, parts) and (only is None or row.recipient == only or not _is_person(row))
        ]
        return self.send(incident, kind, rows_, text)

    def send(self, incident: Incident, kind: NotificationKind, audience: Iterable[Any], text: str, **marks: Any) -> int:
        """News for addresses that were told before: rows of the outbox, the last of each. `marks` join the payload."""
        body_for = self._bodies(incident, text=text, **marks)
        notes = []
        for row in audience:
            person = _is_person(row)
            recipient = Recipient(row.recipient, row.channel, row.address, row.settings_ref, row.reason, person=person)
            notes.append(self.notification(incident, kind, recipient, body_for(row.settings_ref), order_key=row.order_key))
        return outbox.enqueue(self.tx, notes)

    def owed(self, incident: Incident, kind: NotificationKind, *, receiver: str, people: bool = False) -> list[Any]:
        """Of those who are to be told, the places of one receiver (and the people)."""
        prefix = f"{receivers.PLACE}{receiver}/"
        return [
            row
            for row in self._audience(incident, kind)
            if (people and _is_person(row))
            or (row.settings_ref.startswith(prefix) and receivers.receiver_of(row.settings_ref) == receiver)
        ]

    def _is_news(self, incident: Incident, row: Any, kind: NotificationKind, parts: receivers.Parts) -> bool:
        """Whether what happens to the incident is told to this address, where several receivers hear of it."""
        part = parts.behind(row.settings_ref)
        if part is None or kind is NotificationKind.ACKNOWLEDGED:
            return True
        if kind is NotificationKind.RESOLVED:
            # What is silenced, or was split off and still fires, is told by the group's own next page.
            return incident.resolved_by != "source" or not (part.covered or self._still_fires(part))
        return _is_person(row) or not self.news_of or part.key == self.news_of == parts.leading

    def _still_fires(self, part: receivers.Part) -> bool:
        alerts = rows.alerts_by_print(self.tx, part.incident) if part.firing else {}
        return any(fp not in alerts for fp in part.firing)

    def has_heard(self, incident: Incident, receiver: str) -> bool:
        """A place of this receiver was told, or is about to be, since it last heard of an end."""
        heard = self._heard(incident, NotificationKind.RESOLVED)
        return any(not _is_person(row) and receivers.receiver_of(row.settings_ref) == receiver for row in heard)

    def _audience(self, incident: Incident, kind: NotificationKind) -> list[Any]:
        return [row for row in self._heard(incident, kind) if self._wants(row, kind)]

    def _heard(self, incident: Incident, kind: NotificationKind) -> list[Any]:
        """The last row of each address that was told (or, for the end, is owed) since it last heard of an end."""
        numbers = rows.family(self.tx, incident.number)
        told: dict[str, Any] = {}
        for row in _SAID.all(self.tx, numbers=numbers):
            if row.kind == NotificationKind.RESOLVED.value and row.state != NotificationState.CANCELLED.value:
                # A cancelled one (it fired again first) leaves its address owed the next end.
                told.pop(row.order_key, None)
            elif row.kind in _TELLING and self._knows(row, kind):
                told.setdefault(row.order_key, row)
        return list(told.values())

    def _knows(self, row: Any, kind: NotificationKind) -> bool:
        """Whether this address heard of the incident, or may have."""
        together = row.state == NotificationState.BUNDLED.value and row.state_reason.startswith("in one message with 0")
        if row.state in _TOLD or row.possible_repeat or (together and row.channel not in NO_UPDATES):
            return True
        if row.channel in NO_UPDATES or (kind is NotificationKind.ACKNOWLEDGED and row.settings_ref.startswith("user:")):
            # A person whose page was cancelled in time has nothing to learn; a place is owed every change of state.
            return False
        waiting = row.state in outbox.WAITING and (row.attempts > 0 or row.due_at_ms <= self.now_ms)
        if kind is not NotificationKind.RESOLVED:
            return bool(waiting)
        # Late truth: a chat or mailbox that was down hears of a short outage after the fact.
        return bool(waiting or row.state == NotificationState.EXPIRED.value)

    def _wants(self, row: Any, kind: NotificationKind) -> bool:
        if kind is not NotificationKind.RESOLVED and row.channel in NO_UPDATES:
            return False
        if kind is NotificationKind.RESOLVED and row.channel in NO_ENDS:
            return False
        if kind is NotificationKind.RESOLVED and row.settings_ref.startswith("receiver:"):
            found = self.directory.destination(row.settings_ref.removeprefix("receiver:"))
            return found is None or found[1].send_resolved
        return True

    # -- notifications --

    def notification(
        self,
        incident: Incident,
        kind: NotificationKind,
        recipient: Recipient,
        body: dict[str, Any],
        *,
        order_key: str = "",
    ) -> Notification:
        """A row for the outbox, not stored yet."""
        ttl_ms = _TTL_MS.get(kind, _UPDATE_TTL_MS) if recipient.person else PLACE_TTL_MS
        due_at_ms = max(self.now_ms + recipient.delay_ms, recipient.held_until_ms)
        return Notification(
            id=self._new_id(),
            incident=incident.number,
            kind=kind,
            channel=recipient.channel,
            address=recipient.address,
            recipient=recipient.who,
            due_at_ms=due_at_ms,
            created_ms=self.now_ms,
            expires_ms=due_at_ms + ttl_ms,
            reason=recipient.why,
            dedup_key=f"{incident.number}/{incident.version}/{recipient.who}/{recipient.settings_ref}/{kind.value}",
            settings_ref=recipient.settings_ref,
            payload=body,
            state=NotificationState.HELD if recipient.held_until_ms else NotificationState.PENDING,
            state_reason=recipient.held_why,
            order_key=order_key or f"{incident.number}/{recipient.settings_ref}",
            trace_id=incident.trace_id,
        )

    def _bodies(self, incident: Incident, *, text: str = "", step: str = "", late_ms: int = 0, **marks: Any) -> _BodyFor:
        """What a message to each settings reference carries: a place hears of its own group."""
        family = rows.family(self.tx, incident.number)
        parts = receivers.Parts(receivers.of(self.tx, family), incident.key)
        alerts = rows.alert_rows(self.tx, family)
        extra = rows.extra(self.tx, incident.number)
        made: dict[str, dict[str, Any]] = {}

        def body_for(settings_ref: str) -> dict[str, Any]:
            part = parts.behind(settings_ref) if settings_ref.startswith(receivers.PLACE) else None
            name = part.receiver if part else ""
            if name not in made:
                seen = parts.seen_by(settings_ref, alerts) if part else alerts
                group = snapshot.group_json(incident, extra, part)
                made[name] = marks | snapshot.payload(
                    incident,
                    seen,
                    self.directory,
                    self.service(incident),
                    extra=extra,
                    group=group,
                    text=text,
                    step=step,
                    late_ms=late_ms,
                )
            return made[name]

        return body_for

    def _new_id(self) -> str:
        if self._ids is None:
            self._ids = outbox.new_ids(self.tx, now_ms=self.now_ms, random=self.random)
        return next(self._ids)


def _is_person(row: Any) -> bool:
    return bool(row.settings_ref.startswith("user:"))


def _clock(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%H:%M UTC")
