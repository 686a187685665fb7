"""One sentence a person understands: why this alert was told, or why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from tocsin.alerts.stages import Member, Outcome
from tocsin.model.alert import Alert, SuppressedBy, Suppression
from tocsin.model.duration import human_duration

_COVER = {
    Suppression.SILENCED: "silenced by {by}",
    Suppression.INHIBITED: "inhibited while alert {by} fires",
    Suppression.MUTED: "its route is quiet because of the time interval {by}",
    Suppression.MAINTENANCE: "in maintenance ({by})",
    Suppression.DEPENDENCY: "service {by}, which it depends on, is in trouble",
}


def causes_text(causes: Iterable[SuppressedBy]) -> str:
    """`silenced by 4f1c…, inhibited while alert 09ab… fires`."""
    return ", ".join(_COVER[cause.kind].format(by=cause.by) for cause in causes)


@lru_cache(maxsize=256)
def clock_text(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def fired_text(alert: Alert) -> str:
    name = alert.labels.get("alertname") or "alert"
    return f"{name} fires since {clock_text(alert.starts_at_ms)} (reported by {alert.source or 'api'})"


def resolved_text(alert: Alert, *, stale: bool) -> str:
    name = alert.labels.get("alertname") or "alert"
    lasted = human_duration(max(alert.ends_at_ms - alert.starts_at_ms, 0))
    if stale:
        return f"{name} is no longer reported (stale) after {lasted}"
    return f"{name} resolved after {lasted}"


def waiting_text(receiver: str, due_ms: int) -> str:
    return f"Will be told to {receiver} at {clock_text(due_ms)}, when the group has waited for its companions."


def member_text(member: Member, outcome: Outcome, now_ms: int, *, deaf: bool = False) -> str:
    """The sentence for one member after a look at its group; empty when the earlier sentence still holds.

    `deaf`: the receiver has nobody and nothing in it.
    """
    group, page = outcome.group, outcome.page
    if causes := outcome.suppressed.get(member.fingerprint):
        what = "Not told" if member.alert.firing(now_ms) else "Its end is not told yet"
        return f"{what} to {group.receiver}: {causes_text(causes)}."
    if page is not None and deaf:
        return f"Told to nobody: the receiver {group.receiver} has neither people nor destinations."
    if page is not None:
        what = "Told" if member.alert.firing(now_ms) else "Its end was told"
        return f"{what} to {group.receiver} at {clock_text(now_ms)}: {page.reason.value}."
    if not member.alert.firing(now_ms) and member.fingerprint in outcome.leaving:
        return f"Not told to {group.receiver}: it ended before anybody was told."
    return ""
