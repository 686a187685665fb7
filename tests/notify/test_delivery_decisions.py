"""Decisions of delivery as tables: when to try again, when to give up, what a provider can take, what is still true."""

from __future__ import annotations

import pytest

from tocsin.model.incident import IncidentState
from tocsin.model.notification import Delivery, NotificationKind, NotificationState
from tocsin.notify.channel import Rate
from tocsin.notify.lanes import OPEN_MS, Lane
from tocsin.notify.redecide import Now, redecide
from tocsin.notify.retry import Next, after, room_at, wait_ms

PAGE, UPDATE, RESOLVED, ACK = (
    NotificationKind.PAGE,
    NotificationKind.UPDATE,
    NotificationKind.RESOLVED,
    NotificationKind.ACKNOWLEDGED,
)
PENDING, FAILED, EXPIRED = NotificationState.PENDING, NotificationState.FAILED, NotificationState.EXPIRED
NOW = 1_000_000_000


def judged(delivery: Delivery, kind: NotificationKind = PAGE, *, attempts: int = 1, age_ms: int = 0, **more: object) -> Next:
    values = {"expires_ms": NOW + 3_600_000, "idempotent": False, "place": False, **more}
    return after(delivery, kind=kind, attempts=attempts, created_ms=NOW - age_ms, now_ms=NOW, jitter=0.5, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("delivery", "kind", "more", "state", "fall_back"),
    [
        (Delivery.accepted(), PAGE, {}, NotificationState.ACCEPTED, False),
        (Delivery.accepted(delivered=True), PAGE, {}, NotificationState.DELIVERED, False),
        (Delivery.retry("500"), PAGE, {}, PENDING, False),
        (Delivery.retry("500"), PAGE, {"attempts": 2}, PENDING, True),
        (Delivery.retry("500"), PAGE, {"age_ms": 60_000}, PENDING, True),
        (Delivery.retry("500"), PAGE, {"attempts": 9, "place": True}, PENDING, False),
        (Delivery.retry("500"), PAGE, {"age_ms": 600_000, "place": True}, PENDING, True),
        (Delivery.retry("500"), UPDATE, {"attempts": 9}, PENDING, False),
        (Delivery.permanent("gone"), PAGE, {}, FAILED, True),
        (Delivery.permanent("gone"), RESOLVED, {}, FAILED, False),
        (Delivery.retry("500"), PAGE, {"expires_ms": NOW + 1}, EXPIRED, True),
        (Delivery.unknown("lost"), PAGE, {}, PENDING, False),
        (Delivery.unknown("lost"), RESOLVED, {}, PENDING, False),
        (Delivery.unknown("lost"), UPDATE, {}, FAILED, False),
        (Delivery.unknown("lost"), UPDATE, {"idempotent": True}, PENDING, False),
    ],
)
def test_what_an_answer_leads_to(
    delivery: Delivery, kind: NotificationKind, more: dict[str, object], state: NotificationState, fall_back: bool
) -> None:
    following = judged(delivery, kind, **more)  # type: ignore[arg-type]
    assert (following.state, following.fall_back) == (state, fall_back)
    assert following.possible_repeat == (delivery.outcome.value == "unknown" and state is PENDING)


def test_waits_grow_below_a_ceiling_with_full_jitter_and_never_undercut_the_provider() -> None:
    assert [wait_ms(PAGE, n, jitter=0.999) // 1000 for n in (1, 2, 3, 4, 9)] == [4, 14, 29, 59, 59]
    assert wait_ms(PAGE, 9, jitter=0.0) == 500
    assert 30_000 <= wait_ms(PAGE, 1, jitter=0.99, retry_after_ms=30_000) <= 31_000


def test_a_lane_pauses_after_five_failures_and_lets_one_probe_through() -> None:
    lane = Lane(Rate(per_s=100, burst=100, parallel=4))
    for n in range(5):
        assert lane.wait_ms(NOW) == 0
        lane.admit()
        assert lane.release(Delivery.retry("500"), NOW) == (n == 4)
    lane.admit()
    assert not lane.release(Delivery.retry("500"), NOW + 1), "sent before it opened"
    later = NOW
    for pause_ms in (5_000, 10_000, 20_000, OPEN_MS, OPEN_MS):
        assert lane.wait_ms(later) == pause_ms
        later += pause_ms
        assert lane.wait_ms(later) == 0
        lane.admit()
        assert lane.wait_ms(later) > 0, "half open: one probe"
        lane.release(Delivery.retry("500"), later)
    later += OPEN_MS
    lane.admit()
    lane.release(Delivery.accepted(), later)
    assert lane.wait_ms(later) == 0 and lane.failures == 0 and lane.opened == 0


def test_a_lane_waits_as_long_as_the_provider_asks_and_a_refusal_is_a_sign_of_life() -> None:
    lane = Lane(Rate(per_s=100, burst=100, parallel=4))
    lane.admit()
    lane.release(Delivery.retry("429", after_ms=7_000), NOW)
    assert lane.wait_ms(NOW) == 7_000 and lane.is_open(NOW)
    lane.admit()
    lane.release(Delivery.permanent("no such user"), NOW + 7_000)
    assert lane.failures == 0


T, A, R, S = IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED, IncidentState.SUPPRESSED


@pytest.mark.parametrize(
    ("kind", "now", "interrupts", "state"),
    [
        (PAGE, Now(T), False, None),
        (PAGE, Now(A, "ana"), False, "cancelled"),
        (PAGE, Now(R), False, "cancelled"),
        (PAGE, Now(S), False, "cancelled"),
        (PAGE, Now(T, newer="x"), False, "bundled"),
        (UPDATE, Now(T), False, None),
        (UPDATE, Now(A), False, None),
        (UPDATE, Now(R), False, "cancelled"),
        (ACK, Now(A), False, None),
        (ACK, Now(T), False, "cancelled"),
        (RESOLVED, Now(R), False, None),
        (RESOLVED, Now(T), False, "cancelled"),
        (RESOLVED, Now(R, told=False), True, "cancelled"),
        (RESOLVED, Now(R, told=True), True, None),
        (NotificationKind.TEST, Now(None), False, None),
    ],
)
def test_what_is_no_longer_true_is_not_sent(kind: NotificationKind, now: Now, interrupts: bool, state: str | None) -> None:
    verdict = redecide(kind, now, now_ms=NOW, expires_ms=NOW + 1, interrupts=interrupts)
    assert (verdict.state.value if verdict.state else None) == state
    assert redecide(kind, now, now_ms=NOW, expires_ms=NOW, interrupts=interrupts).state is EXPIRED


@pytest.mark.parametrize(
    ("recent_s", "interrupts", "room_in_s"),
    [
        ([], True, 0),
        ([10], True, 50),
        ([60], True, 0),
        ([60, 61], True, 239),
        ([299, 300], True, 0),
        ([], False, 0),
        ([1], False, 9),
        ([10], False, 0),
        ([1, 11], False, 59),
        ([60, 70], False, 0),
    ],
)
def test_when_a_person_may_hear_of_the_next_incident(recent_s: list[int], interrupts: bool, room_in_s: int) -> None:
    assert room_at([NOW - s * 1000 for s in recent_s], NOW, interrupts=interrupts) == NOW + room_in_s * 1000
