"""The decision on one group: is it told now, of what, and why (not)? Pure.

    members ─▶ muted by an interval? ─▶ suppressed? ─▶ firing / ended / held ─▶ against what was told before ─▶ page or not

What was told before is a pair of sets (firing, resolved) of (fingerprint, start of the episode); an alert that fires anew after
it ended is another episode and is told. Suppressed alerts are held, not forgotten: a told firing alert that ends while silenced
stays owed until the silence ends.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.alerts.group import Group
from tocsin.alerts.timeinterval import next_look_ms
from tocsin.model.alert import Alert, Page, PageReason, SuppressedBy, Suppression
from tocsin.model.route import Route

_NEWS_ONLY = (Suppression.INHIBITED, Suppression.DEPENDENCY)
"""These keep news back while something graver is told; they stop no paging that is under way and hide no end."""


class Quiet(enum.StrEnum):
    """Why a look at a group told nobody."""

    NOTHING_FIRING = "nothing_firing"
    ALL_SUPPRESSED = "all_suppressed"
    ALREADY_TOLD = "already_told"
    GONE_BEFORE_TOLD = "resolved_before_it_was_told"


@dataclass(frozen=True, slots=True)
class Member:
    """One alert of a group as the decision needs it."""

    fingerprint: str
    alert: Alert
    suppressed: tuple[SuppressedBy, ...] = ()
    released: tuple[Suppression, ...] = ()
    """What covered it until now and has just ended; empty when nothing did or something still does."""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look at a group decided. `group` is its next state, `leaving` are fingerprints that have no more business in it."""

    group: Group
    page: Page | None
    quiet: Quiet | None
    leaving: tuple[str, ...]
    suppressed: Mapping[str, tuple[SuppressedBy, ...]]
    """Every held member with its causes, the muting intervals of the route included."""
    told: Mapping[str, int]
    """What the receiver had been told to be firing before this look."""
    seen_before: bool
    """The group had been looked at before."""


def look(group: Group, members: list[Member], *, route: Route, muted_by: tuple[str, ...], now_ms: int) -> Outcome:
    """Decide on a group whose timer is due. `muted_by` are the time intervals that keep its route quiet now."""
    if group.muted and not muted_by:
        members = [replace(m, released=(*m.released, Suppression.MUTED)) for m in members]
    parts = _sort(members, muted_by, now_ms)
    before = told = _told_episodes(group, members)
    reason = _reason(group, told, parts, repeat_ms=route.repeat_interval_ms, now_ms=now_ms)
    page = None if reason is None else _page(group, reason, parts, now_ms)
    if page is not None and reason is not PageReason.SUPPRESSED:
        told = {fp: start for fp, start in told.items() if fp in parts.held}
        told |= {m.fingerprint: m.alert.starts_at_ms for m in parts.firing}
    after = replace(
        group,
        # While an interval mutes the route the group is looked at every minute, so that its end is seen at once.
        next_flush_ms=next_look_ms(now_ms) if muted_by else now_ms + route.group_interval_ms,
        last_flush_ms=now_ms,
        last_notified_ms=now_ms if page else group.last_notified_ms,
        notified_firing=told,
        notified_resolved={m.fingerprint: m.alert.starts_at_ms for m in parts.ended} if page else group.notified_resolved,
        muted=bool(muted_by),
        covered=not parts.firing and (group.covered or (page is not None and bool(parts.held_firing))),
    )
    leaving = tuple(m.fingerprint for m in members if not m.alert.firing(now_ms) and m.fingerprint not in told)
    quiet = None if page else _quiet(parts)
    return Outcome(after, page, quiet, leaving, parts.held, told=before, seen_before=group.last_flush_ms > 0)


@dataclass(slots=True)
class _Parts:
    """The members, sorted by what may be said of them."""

    firing: list[Member] = field(default_factory=list)
    ended: list[Member] = field(default_factory=list)
    held_firing: list[Member] = field(default_factory=list)
    held: dict[str, tuple[SuppressedBy, ...]] = field(default_factory=dict)


def _sort(members: list[Member], muted_by: tuple[str, ...], now_ms: int) -> _Parts:
    mute = tuple(SuppressedBy(Suppression.MUTED, name) for name in muted_by)
    parts = _Parts()
    for member in members:
        fires = member.alert.firing(now_ms)
        if causes := _causes(member, mute, ending=not fires):
            parts.held[member.fingerprint] = causes
            if fires:
                parts.held_firing.append(member)
        elif fires:
            parts.firing.append(member)
        else:
            parts.ended.append(member)
    return parts


def _causes(member: Member, mute: tuple[SuppressedBy, ...], *, ending: bool) -> tuple[SuppressedBy, ...]:
    causes = member.suppressed + mute
    if ending:
        # An inhibited alert that ends ends: only silence, maintenance and mute times ask for quiet about the end as well.
        causes = tuple(cause for cause in causes if cause.kind not in _NEWS_ONLY)
    return causes


def _told_episodes(group: Group, members: list[Member]) -> dict[str, int]:
    """What the receiver believes to be firing. An episode whose alert left the group cannot be told any more."""
    present = {member.fingerprint for member in members}
    return {fp: start for fp, start in group.notified_firing.items() if fp in present}


def _reason(group: Group, told: Mapping[str, int], parts: _Parts, *, repeat_ms: int, now_ms: int) -> PageReason | None:
    """Why the receiver must hear now; the first that holds, in this order."""
    known = [] if group.retired else parts.firing
    fresh = [m for m in known if m.fingerprint not in told or m.alert.starts_at_ms > told[m.fingerprint]]
    if (group.covered and parts.firing) or any(m.released for m in fresh) or any(map(_page_again, known)):
        return PageReason.UNSUPPRESSED
    if fresh:
        return PageReason.NEW_ALERTS if told else PageReason.FIRST
    told_held = [m.fingerprint for m in parts.held_firing if m.fingerprint in told]
    if any(m.fingerprint in told for m in parts.ended):
        return PageReason.SOME_RESOLVED if parts.firing or told_held else PageReason.ALL_RESOLVED
    if told_held and not parts.firing and not group.covered and all(_stops_paging(parts.held[fp]) for fp in told_held):
        return PageReason.SUPPRESSED
    if known and group.last_notified_ms + repeat_ms < now_ms:
        return PageReason.REPEAT
    return None


def _page_again(member: Member) -> bool:
    """Whether a told alert is told again now that it came free: after silence, maintenance, mute time; not after inhibition."""
    return any(kind not in _NEWS_ONLY for kind in member.released)


def _stops_paging(causes: tuple[SuppressedBy, ...]) -> bool:
    """Inhibition keeps news back; silences, maintenance and mute times also end what is under way."""
    return any(cause.kind not in _NEWS_ONLY for cause in causes)


def _page(group: Group, reason: PageReason, parts: _Parts, now_ms: int) -> Page:
    trace = next((m.trace_id for m in (*parts.firing, *parts.ended, *parts.held_firing) if m.trace_id), "")
    return Page(
        receiver=group.receiver,
        group_key=group.group_key,
        group_labels=group.labels,
        route_id=group.route_id,
        reason=reason,
        firing=tuple(m.alert for m in parts.firing),
        resolved=tuple(m.alert for m in parts.ended),
        suppressed=tuple((m.alert, parts.held[m.fingerprint]) for m in parts.held_firing),
        decided_ms=now_ms,
        trace_id=trace,
    )


def _quiet(parts: _Parts) -> Quiet:
    if parts.firing:
        return Quiet.ALREADY_TOLD
    if parts.held_firing:
        return Quiet.ALL_SUPPRESSED
    return Quiet.GONE_BEFORE_TOLD if parts.ended else Quiet.NOTHING_FIRING
