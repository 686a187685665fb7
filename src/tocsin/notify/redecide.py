"""Right before a message is sent: is it still true, and still wanted? Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.incident import IncidentState
from tocsin.model.notification import NotificationKind, NotificationState


@dataclass(frozen=True, slots=True)
class Now:
    """What is known of the incident and of the queue at this moment."""

    state: IncidentState | None
    """None = the message has no incident."""
    holder: str = ""
    newer: str = ""
    """Id of a newer page or update to the same address that is due as well, or was sent."""
    moved: bool = False
    """The incident is in another state than when the message was written."""
    told: bool = False
    """This address has heard, or may have, of the incident."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` None = send it."""

    state: NotificationState | None = None
    reason: str = ""


SEND = Verdict()


def redecide(
    kind: NotificationKind,
    now: Now,
    *,
    now_ms: int,
    expires_ms: int,
    interrupts: bool,
    anyway: bool = False,
    of_group: bool = False,
) -> Verdict:
    """`interrupts`: the channel rings at a person (SMS). `anyway`: meant for the holder of an acknowledged incident.

    `of_group`: of one receiver's group in an incident of several: it begins and ends by itself.
    """
    if now_ms >= expires_ms:
        return Verdict(NotificationState.EXPIRED, "its time to live has passed")
    if now.state is None:
        return SEND
    if kind is NotificationKind.PAGE and not (anyway and now.state.open):
        return _page(now, of_group=of_group)
    if kind is NotificationKind.RESOLVED:
        return _resolved(now, interrupts=interrupts, of_group=of_group)
    if kind is NotificationKind.ACKNOWLEDGED and now.state not in (IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED):
        return Verdict(NotificationState.CANCELLED, f"the incident is {now.state.value} by now")
    if kind is NotificationKind.UPDATE:
        return _update(now)
    return SEND


def _page(now: Now, *, of_group: bool) -> Verdict:
    assert now.state is not None
    if now.state is not IncidentState.TRIGGERED and not (of_group and now.state.open):
        by = f" by {now.holder}" if now.holder and now.state is IncidentState.ACKNOWLEDGED else ""
        return Verdict(NotificationState.CANCELLED, f"{now.state.value}{by} before it was sent")
    if now.newer:
        return Verdict(NotificationState.BUNDLED, f"told by the newer message {now.newer}")
    return SEND


def _update(now: Now) -> Verdict:
    if now.state is IncidentState.RESOLVED:
        return Verdict(NotificationState.CANCELLED, "resolved before it was sent")
    if now.moved and now.state is IncidentState.ACKNOWLEDGED:
        return Verdict(NotificationState.CANCELLED, "acknowledged before it was sent, which is told by itself")
    if now.newer:
        return Verdict(NotificationState.BUNDLED, f"told by the newer message {now.newer}")
    return SEND


def _resolved(now: Now, *, interrupts: bool, of_group: bool) -> Verdict:
    if now.state not in (IncidentState.RESOLVED, IncidentState.MERGED) and not of_group:
        return Verdict(NotificationState.CANCELLED, "fires again before its end was told")
    if interrupts and not now.told:
        return Verdict(NotificationState.CANCELLED, "never told of the incident")
    return SEND
