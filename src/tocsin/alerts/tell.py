"""Groups that are due are looked at; what must be told goes to the sink in the same transaction."""

from __future__ import annotations

from tocsin.alerts import rows
from tocsin.alerts.explain import member_text
from tocsin.alerts.group import Group
from tocsin.alerts.rows import KnownAlert
from tocsin.alerts.stages import Member, Outcome, Quiet, look
from tocsin.alerts.timeinterval import muted_by
from tocsin.alerts.work import Work
from tocsin.model.route import Route


def look_at_due(work: Work) -> None:
    """Decide on every group whose time has come, in order of their keys."""
    groups = rows.read_due_groups(work.tx, work.now_ms)
    if not groups:
        return
    fingerprints = rows.read_members(work.tx, groups)
    alerts = work.read_alerts(fp for of_group in fingerprints.values() for fp in of_group)
    mutes = _Mutes(work)
    kept: list[Group] = []
    empty: list[str] = []
    leaving: list[tuple[str, str]] = []
    for key, group in groups.items():
        members = [_member(work, alerts[fp]) for fp in fingerprints.get(key, ()) if fp in alerts]
        route = mutes.route_of(group)
        outcome = look(group, members, route=route, muted_by=mutes(route), now_ms=work.now_ms)
        _tell(work, members, outcome)
        leaving += [(key, fp) for fp in outcome.leaving]
        if len(outcome.leaving) == len(members):
            empty.append(key)
        else:
            kept.append(outcome.group)
    rows.write_groups(work.tx, kept)
    rows.remove_members(work.tx, leaving)
    rows.delete_groups(work.tx, empty)


class _Mutes:
    """The intervals that keep each route quiet now, worked out once per route."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._known: dict[str, tuple[str, ...]] = {}

    def route_of(self, group: Group) -> Route:
        """Its route; a group whose route left the configuration keeps the root's timers."""
        node = self._work.tree.nodes.get(group.route_id)
        return node.route if node else self._work.tree.root

    def __call__(self, route: Route) -> tuple[str, ...]:
        if route.id not in self._known:
            intervals = self._work.routing.time_intervals
            self._known[route.id] = muted_by(route.mute_time_intervals, route.active_time_intervals, intervals, self._work.now_ms)
        return self._known[route.id]


def _member(work: Work, known: KnownAlert) -> Member:
    causes = known.suppressed_by
    return Member(known.fingerprint, known.alert, causes, work.released.get(known.fingerprint, ()), known.trace_id)


def _tell(work: Work, members: list[Member], outcome: Outcome) -> None:
    if outcome.page is not None:
        work.sink(work.tx, outcome.page, work.now_ms)
        work.pages.append(outcome.page.reason)
    receiver = work.routing.receivers.get(outcome.group.receiver)
    deaf = receiver is not None and receiver.tells_nobody
    for member in members:
        sentence = member_text(member, outcome, work.now_ms, deaf=deaf)
        if not sentence:
            continue
        work.sentences[member.fingerprint] = _joined(work.sentences.get(member.fingerprint, ""), sentence)
        verb, news = _verb(member, outcome, work.now_ms, deaf=deaf)
        if news:
            work.note(
                verb,
                member.fingerprint,
                sentence,
                cause=outcome.page.reason.value if outcome.page else "",
                receiver=outcome.group.receiver,
                group_key=outcome.group.group_key,
                trace=member.trace_id,
            )


def _verb(member: Member, outcome: Outcome, now_ms: int, *, deaf: bool) -> tuple[str, bool]:
    """The timeline's verb for a member, and whether it is news (a repeat of what its timeline says already is not)."""
    fires = member.alert.firing(now_ms)
    before = outcome.told.get(member.fingerprint)
    if outcome.page is not None and member.fingerprint not in outcome.suppressed and not deaf:
        return (
            ("paged", before != member.alert.starts_at_ms or bool(member.released)) if fires else ("end_told", before is not None)
        )
    return "not_paged", outcome.quiet is Quiet.GONE_BEFORE_TOLD or (before is None and not outcome.seen_before)


def _joined(before: str, sentence: str) -> str:
    if not before or before.startswith("Will be told"):
        return sentence
    return before if sentence in before else f"{before} {sentence}"
