"""What providers tell us without being asked by a person's signature: delivery reports, and presses that we fetched ourselves.

Signed callbacks (Slack, PagerDuty, SMS replies) are verified and obeyed in web/inbound.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.model.incident import Person
from tocsin.model.notification import NotificationState
from tocsin.notify.answers import ANSWERS, number_of


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report: what became of a message that the provider had accepted."""

    provider_id: str
    state: NotificationState
    text: str


_TWILIO_STATES = {
    "delivered": NotificationState.DELIVERED,
    "read": NotificationState.READ,
    "undelivered": NotificationState.FAILED,
    "failed": NotificationState.FAILED,
}


def twilio_report(form: Mapping[str, str]) -> Report | None:
    """A status callback's (verified) form; None for the stages before the end, which come out of order."""
    state = _TWILIO_STATES.get(form.get("MessageStatus", ""))
    if state is None or not form.get("MessageSid"):
        return None
    code = f" {form['ErrorCode']}" if form.get("ErrorCode") else ""
    return Report(form["MessageSid"], state, f"Twilio: {form['MessageStatus']}{code}")


_CALL_FAILURES = ("busy", "no-answer", "failed", "canceled")


def twilio_call_report(form: Mapping[str, str]) -> Report | None:
    """How a call went, by its (verified) status callback; None while it goes on. A machine that answers told nobody."""
    status, answered_by = form.get("CallStatus", ""), form.get("AnsweredBy", "")
    if not form.get("CallSid"):
        return None
    if status in _CALL_FAILURES:
        return Report(form["CallSid"], NotificationState.FAILED, f"Twilio: {status}")
    if status != "completed":
        return None
    if answered_by.startswith("machine") or answered_by == "fax":
        return Report(form["CallSid"], NotificationState.FAILED, f"Twilio: answered by a {answered_by.partition('_')[0]}")
    return Report(form["CallSid"], NotificationState.DELIVERED, "Twilio: answered")


_OLD_PRESSES = {"ack": "acknowledge"}
"""Buttons of messages that an older Tocsin sent."""


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody pressed a button in Telegram. `answer_id` is what answerCallbackQuery needs."""

    answer: str
    """One of `answers.ANSWERS`."""
    incident: int
    who: str
    answer_id: str


def telegram_press(update: Mapping[str, Any]) -> Press | None:
    """The press in an update of getUpdates; None = something else."""
    query = update.get("callback_query")
    if not isinstance(query, dict):
        return None
    kind, _, value = str(query.get("data", "")).partition(":")
    answer, number, sender = _OLD_PRESSES.get(kind, kind), number_of(value), query.get("from")
    if answer not in ANSWERS or number is None or not isinstance(sender, dict):
        return None
    return Press(answer, number, str(sender.get("id", "")), str(query.get("id", "")))


def telegram_person(persons: Mapping[str, Person], who: str) -> str:
    """The person with this Telegram id (a private chat has the id of its person); empty = a stranger."""
    for person in persons.values():
        for method in person.methods:
            if (
                method.channel == "telegram"
                and method.verified
                and who in (method.address, str(method.settings.get("user_id", "")))
            ):
                return person.name
    return ""
