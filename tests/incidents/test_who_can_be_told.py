"""What a person reads who asked to test somebody that does not exist."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes.house import HOOK_URL, directory, person

from tocsin.incidents.people import HOW_TO_BE_TOLD, Directory, who_can_be_told
from tocsin.model.incident import Person
from tocsin.model.route import Destination


def test_the_names_that_exist_are_said() -> None:
    hook = Destination("webhook", {"url": HOOK_URL})
    people = directory(person("ana"), Person("mute"), destinations=[hook])
    assert who_can_be_told(people) == "there are the users ana and the receivers web"
    assert who_can_be_told(replace(people, receivers={})) == "there are the users ana"


def test_where_nobody_is_it_says_what_to_write() -> None:
    assert who_can_be_told(Directory()) == f"nobody can be told yet: {HOW_TO_BE_TOLD}"
    assert "users:" in HOW_TO_BE_TOLD
