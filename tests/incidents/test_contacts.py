"""A contact that somebody adds is used for pages after the code that was sent there has been entered, not before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from tests.fakes.house import directory, person, policy
from tests.fakes.ports import SeededRandom

from tocsin.errors import CommandError
from tocsin.incidents import contacts
from tocsin.incidents.lint import lint
from tocsin.model.event import Actor
from tocsin.model.incident import Person
from tocsin.state.schema import contacts as table
from tocsin.state.schema import events, metadata, notifications
from tocsin.state.sql import Database

ANA = Actor("user", "ana", "ui", "192.0.2.1")
NOW_MS = 1_767_600_000_000
MINUTE = 60_000


class Desk:
    """One person's contacts on a real database."""

    def __init__(self, tx: Connection, file: Person) -> None:
        self.tx, self.file, self.now_ms, self.random = tx, file, NOW_MS, SeededRandom()

    @property
    def person(self) -> Person:
        return contacts.overlay({"ana": self.file}, contacts.stored(self.tx))["ana"]

    def add(self, address: str = "+33123456789", name: str = "mobile", channel: str = "sms") -> None:
        contacts.add(self.tx, self.person, channel=channel, address=address, name=name, actor=ANA, now_ms=self.now_ms)

    def code(self, name: str = "mobile") -> str:
        note = contacts.send_code(self.tx, self.person, name, actor=ANA, now_ms=self.now_ms, random=self.random)
        row = self.tx.execute(sa.select(notifications).where(notifications.c.id == note)).one()
        assert row.settings_ref == f"user:ana/{name}"
        [code] = re.findall(r"\b\d{6}\b", row.payload["text"])
        return str(code)

    def verify(self, code: str, name: str = "mobile") -> str:
        return contacts.verify(self.tx, self.person, name, code, actor=ANA, now_ms=self.now_ms)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    db = Database(f"sqlite:///{tmp_path / 's.db'}", inline=True)
    metadata.create_all(db.engine)
    with db.engine.begin() as tx:
        yield Desk(tx, person("ana"))
    db.close()


def verified(desk: Desk) -> list[str]:
    return [method.id for method in desk.person.methods if method.verified]


def test_only_the_right_code_in_time_verifies_a_contact(desk: Desk) -> None:
    desk.add()
    code = desk.code()
    assert verified(desk) == ["email"]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert "4 tries left" in desk.verify(wrong)
    assert desk.verify(f" {code[:3]} {code[3:]} ") == "" and verified(desk) == ["email", "mobile"]
    said = [row.verb for row in desk.tx.execute(sa.select(events.c.verb).order_by(events.c.id))]
    assert said == ["contact_added", "contact_code_sent", "contact_code_wrong", "contact_verified"]


def test_a_code_ends_after_ten_minutes_and_after_five_wrong_ones_and_by_the_next_one(desk: Desk) -> None:
    desk.add()
    old = desk.code()
    desk.now_ms += 10 * MINUTE
    assert "ask for a new one" in desk.verify(old)
    code = desk.code()
    for _ in range(contacts.MOST_TRIES):
        assert desk.verify("x")
    assert "too many wrong codes" in desk.verify(code) and verified(desk) == ["email"]


def test_two_codes_an_hour_for_a_contact_and_six_for_a_person(desk: Desk) -> None:
    for number in range(4):
        desk.add(f"+3312345678{number}", f"m{number}")
    desk.code("m0")
    desk.code("m0")
    with pytest.raises(CommandError, match="wait 60 minutes"):
        desk.code("m0")
    for name in ("m1", "m1", "m2", "m2"):
        desk.code(name)
    with pytest.raises(CommandError, match="6 codes an hour"):
        desk.code("m3")
    desk.now_ms += 61 * MINUTE
    desk.code("m3")


def test_neither_the_row_nor_the_log_of_messages_keeps_a_code(desk: Desk) -> None:
    desk.add()
    code = desk.code()
    row = desk.tx.execute(sa.select(table)).one()
    assert code not in repr(row)
    contacts.forget_codes(desk.tx, desk.now_ms + 9 * MINUTE)
    assert code in repr(desk.tx.execute(sa.select(notifications.c.payload)).all())
    contacts.forget_codes(desk.tx, desk.now_ms + 10 * MINUTE)
    assert code not in repr(desk.tx.execute(sa.select(notifications.c.payload)).all())


def test_a_contact_of_the_file_may_ask_for_a_code_and_a_changed_address_begins_anew(desk: Desk) -> None:
    [mail] = desk.file.methods
    desk.file = replace(desk.file, methods=(replace(mail, verified=False),))
    assert verified(desk) == []
    assert "until email is verified" in lint(directory(desk.person, policy=policy(["ana"])), NOW_MS)[0].text
    assert desk.verify(desk.code("email"), "email") == "" and verified(desk) == ["email"]
    desk.file = replace(desk.file, methods=(replace(mail, verified=False, address="other@shop.example"),))
    assert verified(desk) == []
    assert desk.verify(desk.code("email"), "email") == "" and verified(desk) == ["email"]


def test_what_was_added_can_be_removed_and_what_the_file_says_cannot(desk: Desk) -> None:
    desk.add()
    with pytest.raises(CommandError, match="already"):
        desk.add("+33123456780")
    contacts.remove(desk.tx, "ana", "mobile", actor=ANA, now_ms=NOW_MS)
    assert [method.id for method in desk.person.methods] == ["email"]
    with pytest.raises(CommandError, match="the file is removed there"):
        contacts.remove(desk.tx, "ana", "email", actor=ANA, now_ms=NOW_MS)


@pytest.mark.parametrize("rows", [(), (contacts.Stored("gone", "x", "added", "sms", "1", 1),)])
def test_contacts_of_people_who_left_the_file_are_passed_over(rows: Any) -> None:
    assert contacts.overlay({"ana": person("ana")}, rows) == {"ana": person("ana")}
