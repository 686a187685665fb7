"""I1 to I10 of the reliability promise, each by its name, judged on a world that has lived to its end.

Every function returns sentences, one for each breach. What happened when is taken from the journal (commits in true time) and
from what arrived outside; what Tocsin believes, from its tables.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from tests.simulation.disk import machine
from tests.simulation.journal import Entry
from tests.simulation.measured import INTERVAL_S, SLOWEST_S
from tests.simulation.outside import HOOK, NTFY, TWILIO
from tests.simulation.world import World

from tocsin.incidents.audit import audit
from tocsin.state.events import first_break
from tocsin.state.schema import alert_states, attempts, incident_alerts, incidents, notifications, silences

FINAL = {"accepted", "delivered", "read", "failed", "cancelled", "bundled", "expired"}
LANDED = {"accepted", "delivered", "read"}
DEAD = {"failed", "expired"}
UNMARKED = {NTFY, TWILIO}
"""Providers whose messages carry no delivery id."""
TOLD_WITHIN_S = SLOWEST_S + 45.0
"""From the end of trouble to the receiver's knowledge, when all is well: the transition, group_interval, one request."""


@dataclass
class Life:
    """A world with its tables read."""

    world: World
    notes: list[Any] = field(default_factory=list)
    tries: list[Any] = field(default_factory=list)
    cases: list[Any] = field(default_factory=list)
    members: list[Any] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    broken: int = 0
    findings: list[str] = field(default_factory=list)
    silences: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, world: World) -> Life:
        life = cls(world)
        with machine().engines[1].connect() as connection:
            life.notes = list(connection.execute(sa.select(notifications).order_by(notifications.c.id)))
            life.tries = list(connection.execute(sa.select(attempts).order_by(attempts.c.id)))
            life.cases = list(connection.execute(sa.select(incidents)))
            life.members = list(connection.execute(sa.select(incident_alerts)))
            life.states = list(connection.execute(sa.select(alert_states)))
            life.silences = set(connection.execute(sa.select(silences.c.id)).scalars())
            life.broken = first_break(connection)
            life.findings = [finding.text for finding in audit(connection, world.clock.now_ms())]
        machine().pull_the_plug()
        return life

    @property
    def place_is_dead(self) -> bool:
        """A message to the receiver failed for good: its view is no longer ours to vouch for."""
        return any(note.state in DEAD and note.settings_ref.startswith("receiver:") for note in self.notes)


def no_loss(life: Life) -> Iterator[str]:
    """I1: what fires is known outside and belongs to an incident; nothing waits for ever; a dead letter has cried for help."""
    world = life.world
    if not life.place_is_dead and (missing := world.firing_in_calm - world.seen_in_calm - world.quiet_in_calm):
        yield f"{len(missing)} firing alerts unknown to the receiver after {world.calm_lasted_s:.0f} s of calm, as {min(missing)}"
    if missing := world.firing_in_calm - {row.fingerprint for row in life.members} - world.quiet_in_calm:
        yield f"{len(missing)} alerts that fire belong to no incident"
    waiting = [note for note in life.notes if note.state not in FINAL]
    if waiting:
        yield f"{len(waiting)} messages still wait at the end, as {waiting[0].kind} {waiting[0].id}: {waiting[0].state_reason}"
    cried = {entry.data.get("notification") for entry in world.journal.of("undelivered")}
    for note in life.notes:
        if note.kind == "page" and note.state in DEAD and note.id not in cried:
            yield f"page {note.id} {note.state} ({note.state_reason}) and nobody heard of it"
    known = {entry.subject for entry in world.journal.of("alert_fired")}
    for entry in world.journal.of("fired"):
        if entry.subject not in known:
            yield f"{entry.subject} was decided to fire and never reached the dispatcher"


def no_false_resolve(life: Life) -> Iterator[str]:
    """I2: a rule's alert ends only after its series was really seen to be good since it began."""
    world = life.world
    series_of = {_subject(series): series for series in world.measured.bad}
    good: dict[Any, list[float]] = defaultdict(list)
    for t_s, series in world.measured.good_scrapes:
        good[series].append(t_s)
    since: dict[str, float] = {}
    last: dict[str, float] = {}
    for entry in world.journal.of("fired", "resolved"):
        series = series_of.get(entry.subject)
        if series is None:
            continue
        if entry.verb == "fired":
            # A decision may wait for a disk that is full: what counts is when it was made.
            since[entry.subject] = min(entry.t_s, world.true_s(entry.t_ms)) if not world.jumps else last.get(entry.subject, 0.0)
            continue
        last[entry.subject] = entry.t_s
        if not any(since.get(entry.subject, 0.0) - INTERVAL_S <= t_s <= entry.t_s for t_s in good[series]):
            yield f"{series} was declared resolved at {entry.t_s:.1f} s ({entry.cause}) although nobody saw it good"


def ends_are_told(life: Life) -> Iterator[str]:
    """I3: whoever was told of a fire is told of its end, once, and soon."""
    world = life.world
    for case in life.cases:
        if case.state not in ("resolved", "merged"):
            yield f"incident #{case.number} is {case.state} at the end"
    if life.states and (left := [row for row in life.states if row.phase in ("firing", "clearing")]):
        yield f"{len(left)} rule states still fire at the end"
    if not life.place_is_dead and (still := world.receiver_view()):
        yield f"the receiver believes that {len(still)} alerts still fire"
    happened = Counter(entry.subject for entry in world.journal.of("resolved"))
    by_address: dict[str, list[Any]] = defaultdict(list)
    for note in life.notes:
        by_address[note.order_key].append(note)
    for key, row in by_address.items():
        last_page = max((note.id for note in row if note.kind == "page" and note.state in LANDED), default="")
        ends = [note for note in row if note.kind == "resolved" and note.id > last_page]
        if last_page and not any(note.state in LANDED | DEAD or _in_another(note) for note in ends):
            yield f"{key} was paged and never told of the end ({[note.state for note in ends]})"
        told = sum(note.kind == "resolved" and note.state in LANDED for note in row)
        if told > happened[f"incident:{row[0].incident}"]:
            yield f"{key} was told of an end {told} times"
    yield from _soon(life)


def _in_another(note: Any) -> bool:
    """Told together with others, in one message."""
    return bool(note.state == "bundled" and note.state_reason.startswith("in one message with "))


def _soon(life: Life) -> Iterator[str]:
    """In the recovery nothing is wrong any more: an end that does not flap is known to the receiver in bounded time."""
    world = life.world
    if life.place_is_dead:
        return
    for fingerprint, over_s in world.recovered.items():
        if fingerprint not in world.seen_in_calm or fingerprint in world.flapping:
            continue
        told = [
            arrival.t_s
            for arrival in world.outside.arrivals
            if arrival.host == HOOK and arrival.t_s > over_s and _says(arrival.body, fingerprint, "resolved")
        ]
        if not told or told[0] - over_s > TOLD_WITHIN_S:
            heard = f"after {told[0] - over_s:.0f} s" if told else "never"
            yield f"{fingerprint} recovered at {over_s:.0f} s and the receiver heard {heard}"


def duplicates_are_bounded(life: Life) -> Iterator[str]:
    """I4: one more arrival at most for each answer that was lost, and a second copy says that it may be one."""
    lost = Counter(one.notification for one in life.tries if one.outcome == "unknown")
    arrived: Counter[str] = Counter()
    for arrival in life.world.outside.arrivals:
        if arrival.host in UNMARKED:
            continue
        arrived[arrival.id] += 1
        if arrived[arrival.id] > 1 and not arrival.repeat:
            yield f"{arrival.id} arrived again and did not say that it may be a repeat"
    for id_, count in arrived.items():
        if count > 1 + lost[id_]:
            yield f"{id_} arrived {count} times although {lost[id_]} answers were lost"


def order_is_kept(life: Life) -> Iterator[str]:
    """I5: to each address in the order of decision; nothing is sent after an acknowledgement that was committed before."""
    order = {note.id: note for note in life.notes}
    newest: dict[str, str] = {}
    seen: set[str] = set()
    for arrival in life.world.outside.arrivals:
        note = order.get(arrival.id)
        if note is None or (arrival.repeat and arrival.id in seen):
            continue
        seen.add(arrival.id)
        before = newest.get(note.order_key, "")
        if arrival.id < before and not _overtaken(note, order[before]):
            yield f"{note.kind} {arrival.id} arrived after the newer {order[before].kind} {before}"
        newest[note.order_key] = max(before, arrival.id)
    yield from _nothing_after_acknowledgement(life)


def _overtaken(note: Any, newer: Any) -> bool:
    """News that was put off on purpose may come after what was decided later."""
    return bool(note.kind == "update" and newer.kind == "update")


def _nothing_after_acknowledgement(life: Life) -> Iterator[str]:
    """Sends whose re-decision began after a committed acknowledgement: none.

    A claim in the commit of the acknowledgement itself came before it there (the other order would have cancelled it): when
    the process asked, nobody had acknowledged, and the person was answered only afterwards.
    """
    ends = {
        "unacknowledged",
        "resolved",
        "acknowledgement_timed_out",
        "reopened_by_severity",
        "escalated_by_person",
        "snoozed",
        "reopened",
    }
    held: dict[str, int] = {}
    pages = {
        note.id: f"incident:{note.incident}"
        for note in life.notes
        # The places of a second receiver hear that it fires, whoever has taken it.
        if note.kind == "page" and not note.payload.get("anyway") and not note.payload.get("of_group")
    }
    for entry in life.world.journal.entries:
        if entry.verb == "acknowledged":
            held.setdefault(entry.subject, entry.commit)
        elif entry.verb in ends:
            held.pop(entry.subject, None)
        elif entry.verb == "claimed" and held.get(pages.get(entry.subject, ""), entry.commit) < entry.commit:
            yield f"page {entry.subject} of {pages[entry.subject]} was sent after it was acknowledged"


def confirmed_is_durable(life: Life) -> Iterator[str]:
    """I6: what a person was told to be done is in the database after every crash; a silence keeps quiet from that moment."""
    committed = {(entry.verb, entry.subject) for entry in life.world.journal.of("acknowledged", "silenced")}
    for verb, subject, t_s in life.world.journal.confirmed:
        if (verb, subject) not in committed:
            yield f"{subject} was confirmed as {verb} at {t_s:.1f} s and is not in the database"
        if verb == "silenced" and subject.removeprefix("silence:") not in life.silences:
            yield f"{subject} was confirmed and is gone"
    if life.broken:
        yield f"the timeline's hash chain breaks at event {life.broken}"
    yield from _silenced_pages(life)


def _silenced_pages(life: Life) -> Iterator[str]:
    """No page begins for an incident all of whose alerts are covered by a silence that was committed before.

    Before: in an earlier commit. A claim that shares the silence's commit was decided when there was no silence yet.
    """
    quiet: dict[str, Entry] = {}
    names: dict[int, set[str]] = defaultdict(set)
    for row in life.members:
        names[row.incident].add(row.labels["alertname"])
    pages = {note.id: note for note in life.notes if note.kind == "page"}
    jumps = life.world.jumps
    for entry in life.world.journal.entries:
        if entry.verb == "silenced":
            quiet[entry.subject] = entry
        elif entry.verb == "silence_expired":
            quiet.pop(entry.subject, None)
        elif entry.verb == "claimed" and entry.subject in pages:
            note = pages[entry.subject]
            for silence in quiet.values():
                covers = {f'alertname="{name}"' for name in names[note.incident]} == {silence.data["matchers"].strip("{}")}
                jumped = any(silence.t_s <= t_s <= entry.t_s for t_s in jumps)
                before = silence.commit < entry.commit
                if covers and before and not jumped and entry.t_ms < silence.data["ends_at_ms"]:
                    yield f"page {note.id} of #{note.incident} was sent at {entry.t_s:.1f} s, silenced since {silence.t_s:.1f} s"


def isolation(life: Life) -> Iterator[str]:
    """I7: in the calm one provider hangs; what others are owed is tried within seconds all the same."""
    world = life.world
    if not world.hung:
        return
    until_s = world.calm_s + 120.0
    first_tries: dict[str, float] = {}
    for entry in world.journal.of("claimed"):
        first_tries.setdefault(entry.subject, entry.t_s)
    for note in life.notes:
        host = _host(note)
        if host == world.hung or note.kind != "page" or note.extra.get("crowded") or note.state in ("cancelled", "bundled"):
            continue
        created_s = world.true_s(note.due_at_ms if note.attempts <= 1 else note.created_ms)
        if not world.calm_s + 40.0 < created_s < until_s or note.state_reason.startswith("suppressed"):
            continue
        if note.channel == "sms" or _queued(life, note, created_s, first_tries):
            continue  # it rings at most twice in five minutes; or something else went to the same address first
        waited_s = first_tries.get(note.id, 1e9) - created_s
        if waited_s > 15.0 and note.due_at_ms == note.created_ms:
            yield f"page {note.id} by {note.channel} waited {waited_s:.0f} s while {world.hung} hung"


def _queued(life: Life, note: Any, created_s: float, first_tries: dict[str, float]) -> bool:
    """Another message to the same address was under way or waited before this one."""
    until_s = first_tries.get(note.id, 1e9)
    same = {other.id for other in life.notes if other.settings_ref == note.settings_ref and other.id != note.id}
    return any(entry.subject in same and created_s - 60.0 < entry.t_s <= until_s for entry in life.world.journal.of("claimed"))


def bounded(life: Life) -> Iterator[str]:
    """I8: there are no more messages, attempts, timers and tasks than alerts and time explain."""
    world = life.world
    tries = Counter(one.notification for one in life.tries)
    lasted_s = world.end_s
    most = 12 + lasted_s / 10
    for id_, count in tries.items():
        if count > most:
            yield f"{id_} was tried {count} times in {lasted_s:.0f} s"
    if len(life.notes) > 60 * max(world.journal.transitions(), 10):
        yield f"{len(life.notes)} messages for {world.journal.transitions()} transitions"
    paused = {(id_, t_s + wait_s): (host, t_s) for t_s, host, id_, wait_s in world.outside.pauses if id_}
    for (id_, until_s), (host, asked_s) in paused.items():
        again = [e for e in world.journal.of("claimed") if e.subject == id_ and asked_s < e.t_s < until_s - 0.5]
        if again and not any(asked_s <= t_s <= again[0].t_s for t_s in [*world.boots, *world.jumps]):
            yield f"{host} asked to wait until {until_s:.1f} s and was asked again at {again[0].t_s:.1f} s"
    if world.tasks_at_end > 40:
        yield f"{world.tasks_at_end} tasks at the end"


def self_awareness(life: Life) -> Iterator[str]:
    """I9: the auditor finds nothing at the end, and what it had to repair stands on the timeline."""
    yield from (f"the auditor finds: {finding}" for finding in life.findings)
    yield from (f"the auditor had to repair {entry.subject}" for entry in life.world.journal.of("repaired"))


def restart(life: Life) -> Iterator[str]:
    """I10: each life works within 2 s: the stages look, and what was under way at the crash is sent again."""
    for started_s, worked_s in life.world.worked:
        if worked_s - started_s > 2.0:
            yield f"the life that began at {started_s:.1f} s did its first work after {worked_s - started_s:.1f} s"


INVARIANTS: dict[str, Callable[[Life], Iterator[str]]] = {
    "I1": no_loss,
    "I2": no_false_resolve,
    "I3": ends_are_told,
    "I4": duplicates_are_bounded,
    "I5": order_is_kept,
    "I6": confirmed_is_durable,
    "I7": isolation,
    "I8": bounded,
    "I9": self_awareness,
    "I10": restart,
}


def judge(world: World) -> list[str]:
    """Every breach as "I3: ..."."""
    life = Life.of(world)
    return [f"{name}: {problem}" for name, check in INVARIANTS.items() for problem in check(life)]


def _subject(series: tuple[str, str]) -> str:
    from tests.simulation.world import fingerprint_of

    return f"alert:{fingerprint_of(series)}"


def _says(body: dict[str, Any], fingerprint: str, status: str) -> bool:
    return any(alert["fingerprint"] == fingerprint and alert["status"] == status for alert in body["alerts"])


def _host(note: Any) -> str:
    from tests.simulation.outside import MAIL, PERSON_HOOK

    if note.settings_ref.startswith("receiver:"):
        return HOOK
    return {"webhook": PERSON_HOOK, "ntfy": NTFY, "sms": TWILIO, "email": MAIL}[note.channel]
