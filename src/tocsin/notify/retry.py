"""When to try again, when to give up, when to go another way. Pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.model.notification import Delivery, DeliveryOutcome, NotificationKind, NotificationState

FALLBACK_AFTER_MS = 60_000
"""A page that nobody has accepted for this long looks for another way, while this one goes on trying."""
FALLBACK_AFTER_ATTEMPTS = 2
PLACE_FALLBACK_AFTER_MS = 600_000
"""A chat or webhook that hiccups is no reason to ring somebody; one that is away for ten minutes is."""
PERSON_TTL_MS = {
    NotificationKind.PAGE: 3_600_000,
    NotificationKind.UPDATE: 900_000,
    NotificationKind.ACKNOWLEDGED: 900_000,
    NotificationKind.RESOLVED: 86_400_000,
    NotificationKind.DIGEST: 86_400_000,
    NotificationKind.TEST: 300_000,
    NotificationKind.PUBLISHED: 86_400_000,
}
_PAGE_STEPS_MS = (5_000, 15_000, 30_000, 60_000)
_OTHER_STEPS_MS = (10_000, 30_000, 60_000, 120_000, 300_000)
_LEAST_WAIT_MS = 500
_AGAIN_AFTER_UNKNOWN = (NotificationKind.PAGE, NotificationKind.RESOLVED, NotificationKind.TEST)


class Why(enum.StrEnum):
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    RETRY = "retry"
    PERMANENT = "permanent"
    EXPIRED = "expired"
    LOST_ANSWER = "answer_lost"


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a notification after an attempt."""

    state: NotificationState
    why: Why
    due_at_ms: int = 0
    possible_repeat: bool = False
    fall_back: bool = False
    """Another contact method should be used now."""


def after(
    delivery: Delivery,
    *,
    kind: NotificationKind,
    attempts: int,
    created_ms: int,
    expires_ms: int,
    now_ms: int,
    idempotent: bool,
    jitter: float,
    place: bool = False,
) -> Next:
    """Judge one attempt. `attempts` counts it already; `jitter` is uniform in [0, 1); `place`: it goes to no person."""
    if delivery.outcome is DeliveryOutcome.ACCEPTED:
        if delivery.delivered:
            return Next(NotificationState.DELIVERED, Why.DELIVERED)
        return Next(NotificationState.ACCEPTED, Why.ACCEPTED)
    page = kind is NotificationKind.PAGE
    if delivery.outcome is DeliveryOutcome.PERMANENT:
        return Next(NotificationState.FAILED, Why.PERMANENT, fall_back=page)
    unknown = delivery.outcome is DeliveryOutcome.UNKNOWN
    if unknown and not idempotent and kind not in _AGAIN_AFTER_UNKNOWN:
        # A second copy of a mere update is worse than one that may be missing.
        return Next(NotificationState.FAILED, Why.LOST_ANSWER)
    due_at_ms = now_ms + wait_ms(kind, attempts, jitter=jitter, retry_after_ms=delivery.retry_after_ms)
    if due_at_ms >= expires_ms:
        return Next(NotificationState.EXPIRED, Why.EXPIRED, possible_repeat=unknown, fall_back=page)
    late = now_ms - created_ms >= fallback_after_ms(place=place) or (attempts >= FALLBACK_AFTER_ATTEMPTS and not place)
    return Next(NotificationState.PENDING, Why.RETRY, due_at_ms, possible_repeat=unknown, fall_back=page and late)


def fallback_after_ms(*, place: bool) -> int:
    """How long a page may go without being accepted before another way is looked for."""
    return PLACE_FALLBACK_AFTER_MS if place else FALLBACK_AFTER_MS


def wait_ms(kind: NotificationKind, attempts: int, *, jitter: float, retry_after_ms: int = 0) -> int:
    """How long to wait after the n-th attempt: full jitter below a growing ceiling, never less than the provider asked for."""
    steps = _PAGE_STEPS_MS if kind is NotificationKind.PAGE else _OTHER_STEPS_MS
    ceiling = steps[min(max(attempts, 1), len(steps)) - 1]
    if retry_after_ms:
        # Spread those who were all told the same moment.
        return retry_after_ms + round(min(ceiling, retry_after_ms) * jitter * 0.1)
    return max(_LEAST_WAIT_MS, round(ceiling * jitter))


_BREATH_MS, _CALM_MS, _WINDOW_MS = 10_000, 60_000, 300_000


def room_at(recent_ms: Sequence[int], now_ms: int, *, interrupts: bool) -> int:
    """When a person may hear of the next incident by this contact method; what waits until then is told in one message.

    `recent_ms`: when the last messages of this kind began to be sent, newest first. A channel that rings (SMS): the second after
    a minute, then two in five minutes. Others: the second after ten seconds, then one a minute.
    """
    if interrupts:
        if len(recent_ms) >= 2 and now_ms - recent_ms[1] < _WINDOW_MS:
            return recent_ms[1] + _WINDOW_MS
        if recent_ms and now_ms - recent_ms[0] < _CALM_MS:
            return recent_ms[0] + _CALM_MS
    elif recent_ms:
        crowded = len(recent_ms) >= 2 and now_ms - recent_ms[1] < 2 * _CALM_MS
        return max(now_ms, recent_ms[0] + (_CALM_MS if crowded else _BREATH_MS))
    return now_ms
