"""Messages without an incident (hand-offs, drills, reports): rows for the outbox to a person or place. Never by SMS or voice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tocsin.incidents.people import NO_UPDATES, Directory
from tocsin.incidents.policy import held_reason, quiet_until, rules_of, shown_address
from tocsin.model.incident import ContactMethod, Person, Urgency
from tocsin.model.notification import Notification, NotificationKind, NotificationState

_TTL_MS = 86_400_000
_MAKE_INCIDENTS = frozenset({"pagerduty", "opsgenie", "victorops", "jira", "incidentio"})
"""Channels where any message opens an incident or a ticket: news must not."""


def to_person(
    person: Person,
    ids: Iterable[str],
    *,
    key: str,
    payload: Mapping[str, Any],
    reason: str,
    now_ms: int,
    kind: NotificationKind = NotificationKind.DIGEST,
) -> list[Notification]:
    """One message per method that the person uses for what is not urgent, held by their quiet hours.

    `key` makes each message unique: putting the same ones into the outbox twice sends them once. Empty: no method will do.
    """
    held_ms = quiet_until(person.quiet_hours, "", now_ms)
    return [
        Notification(
            id=id_,
            incident=0,
            kind=kind,
            channel=method.channel,
            address=shown_address(method),
            recipient=person.name,
            due_at_ms=max(now_ms, held_ms),
            created_ms=now_ms,
            expires_ms=max(now_ms, held_ms) + _TTL_MS,
            reason=reason,
            dedup_key=f"{key}/{person.name}/{method.id}",
            settings_ref=f"user:{person.name}/{method.id}",
            payload=payload,
            state=NotificationState.HELD if held_ms else NotificationState.PENDING,
            state_reason=held_reason(person.quiet_hours, held_ms) if person.quiet_hours and held_ms else "",
            order_key=f"notice/user:{person.name}/{method.id}",
        )
        for id_, method in zip(ids, quiet_methods(person), strict=False)
    ]


def quiet_methods(person: Person) -> list[ContactMethod]:
    """Verified methods that the person's rules use for low urgency, those left out that ring."""
    usable = {m.id: m for m in person.methods if m.verified and m.channel not in NO_UPDATES | _MAKE_INCIDENTS}
    return [usable[name] for name in dict.fromkeys(rule.method for rule in rules_of(person, usable, Urgency.LOW))]


def to_place(
    target: str, directory: Directory, ids: Iterable[str], *, key: str, payload: Mapping[str, Any], reason: str, now_ms: int
) -> list[Notification]:
    """One message per destination of a receiver that takes news; empty when there is no such receiver."""
    receiver = directory.receivers.get(target)
    if receiver is None:
        return []
    taking = [one for one in receiver.destinations if one.channel not in NO_UPDATES | _MAKE_INCIDENTS]
    return [
        Notification(
            id=id_,
            incident=0,
            kind=NotificationKind.DIGEST,
            channel=destination.channel,
            address=receiver.name,
            recipient=receiver.name,
            due_at_ms=now_ms,
            created_ms=now_ms,
            expires_ms=now_ms + _TTL_MS,
            reason=reason,
            dedup_key=f"{key}/{receiver.name}/{destination.channel}/{destination.index}",
            settings_ref=f"receiver:{receiver.name}/{destination.channel}/{destination.index}",
            payload=payload,
            order_key=f"notice/receiver:{receiver.name}/{destination.channel}/{destination.index}",
        )
        for id_, destination in zip(ids, taking, strict=False)
    ]


def lines_payload(title: str, lines: Sequence[str]) -> dict[str, Any]:
    """What `notify.render` shows of a message without an incident."""
    return {"title": title, "text": lines[0] if lines else "", "lines": list(lines)}
