"""What a person needs at three in the morning is in the message: what was seen, what it means, what to do first."""

from __future__ import annotations

from tocsin.model.notification import Notification, NotificationKind
from tocsin.notify.render import message


def lines(state: str = "triggered", **annotations: str) -> list[str]:
    alert = {"labels": {"alertname": "DatabaseDown"}, "annotations": annotations, "value": 1.0}
    payload = {
        "incident": {"number": 3, "title": "pg is down", "severity": "critical", "state": state, "created_ms": 1_000},
        "alerts": [alert],
        "alerts_firing": 1,
    }
    kind = NotificationKind.PAGE if state == "triggered" else NotificationKind.RESOLVED
    note = Notification(
        id="a",
        kind=kind,
        channel="email",
        address="ana@shop.example",
        recipient="ana",
        due_at_ms=1_000,
        created_ms=1_000,
        expires_ms=9_000,
        reason="step 1",
        dedup_key="k",
        settings_ref="user:ana/email",
        incident=3,
        payload=payload,
    )
    return list(message(note).lines)


def test_cause_impact_and_first_steps_are_told() -> None:
    told = lines(
        description="It failed 3 times.", cause="connection refused", impact="Orders fail", first_steps="1. Look\n2. Start it\n"
    )
    assert told[1:] == [
        "It failed 3 times.",
        "Seen: connection refused.",
        "Impact: Orders fail.",
        "First steps:",
        "1. Look",
        "2. Start it",
    ]


def test_a_measured_value_stands_where_no_check_saw_a_cause() -> None:
    assert lines()[1:] == ["Value 1."]


def test_the_end_needs_no_first_steps() -> None:
    assert not [line for line in lines("resolved", impact="x", first_steps="1. Look") if "Look" in line]
