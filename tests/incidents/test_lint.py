"""What would fail on a bad night is said at `config check`, with its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.fakes.house import directory, person, policy

from tocsin.cli.config import config
from tocsin.config.load import build
from tocsin.config.sources import read_sources
from tocsin.incidents.lint import lint
from tocsin.incidents.people import Team
from tocsin.incidents.schedule import parse_schedule
from tocsin.model.incident import Person, Policy, PolicyStep, Target, TargetKind

MONDAY_MS = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)
OFFICE = {"name": "office", "users": ["ana"], "anchor": "2026-01-05T09:00", "restrictions": [{"start": "09:00", "end": "17:00"}]}


def on_call(*more: Target, final: tuple[Target, ...] = ()) -> Policy:
    return Policy("web", (PolicyStep((Target(TargetKind.SCHEDULE, "web"),)), PolicyStep(more)), final=final)


def schedules(**changed: Any) -> Any:
    return {"web": parse_schedule({"layers": [{**OFFICE, **changed}]}, name="web")}


def said(people: Any) -> list[str]:
    return [f"{doubt.kind} {doubt.name}: {doubt.text}" for doubt in lint(people, MONDAY_MS)]


def test_a_gap_that_no_other_step_covers_is_a_doubt_and_one_that_is_covered_is_not() -> None:
    people = directory(person("ana"), person("ben"), policy=on_call(), schedules=schedules())
    [doubt] = said(people)
    assert doubt.startswith("policy web: no step reaches anybody from 2026-01-05T00:00:00Z to 2026-01-05T09:00:00Z and 30 more")
    assert "last resort" in doubt
    covered = directory(person("ana"), person("ben"), policy=on_call(Target(TargetKind.USER, "ben")), schedules=schedules())
    assert said(covered) == []
    always = directory(person("ana"), policy=on_call(), schedules=schedules(restrictions=[]))
    assert said(always) == []


@pytest.mark.parametrize(
    ("people", "wanted"),
    [
        (directory(Person("eve"), person("ana"), policy=policy(["ana"])), ["user eve: eve cannot be reached"]),
        (directory(Person("eve"), policy=policy(["eve"])), ["user eve:", "policy web: no step reaches anybody"]),
        (directory(person("ana"), policy=policy(["ana"]), teams={"t": Team("t")}), ["team t: has no members"]),
        (directory(person("ana"), policy=on_call(), schedules=schedules(until="2026-01-01T00:00")),
         ["schedule web: nobody is on call at any time", "policy web: no step"]),
        (directory(Person("ana"), person("ben"), policy=on_call(), schedules=schedules(restrictions=[])),
         ["user ana:", "policy web: no step reaches anybody from 2026-01-05T00:00:00Z to 2026-02-04T00:00:00Z; then its last",
          "schedule web: ana is on call 30 nights in a row from 2026-01-05"]),
    ],
)  # fmt: skip
def test_who_cannot_be_reached_is_named(people: Any, wanted: list[str]) -> None:
    found = said(people)
    assert len(found) == len(wanted) and all(text.startswith(start) for text, start in zip(found, wanted, strict=True)), found


def test_nobody_left_at_all_is_said_as_such() -> None:
    assert "nobody is left to page" in said(directory(Person("eve"), policy=policy(["eve"])))[-1]


CONFIG = """
external_url: https://tocsin.example
global: {smtp_smarthost: "127.0.0.1:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}
users:
  - {name: ana, email: ana@shop.example}
  - {name: eve}
schedules: [{name: web, layers: [{users: [eve], anchor: "2026-01-05T09:00"}]}]
policies:
  - {name: night, steps: [{notify: "schedule:web"}]}
"""


def test_config_check_fails_with_file_and_line_where_a_page_would_reach_nobody(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(CONFIG)
    found = build(read_sources([path]), now_ms=MONDAY_MS)
    faults = [str(fault) for fault in found.faults]
    assert f"{path}:6:5: users[1]: user eve: eve cannot be reached: add a contact or an email address" in faults
    assert any(w.startswith(f"{path}:9:5: policies[0]: policy night: no step reaches anybody") for w in faults)
    assert all(problem.warning for problem in found.said()), "a running server says so and goes on"
    result = CliRunner().invoke(config, ["check", "-c", str(path)])
    assert result.exit_code == 1 and "user eve" in result.output and "policy night" in result.output


def test_gaps_that_are_meant_are_warnings_and_so_are_people_whom_no_policy_names(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(
        CONFIG.replace("users: [eve], anchor", 'users: [ana], restrictions: [{end: "17:00"}], anchor').replace(
            "name: night,", "name: night, allow_gaps: true,"
        )
    )
    found = build(read_sources([path]), now_ms=MONDAY_MS)
    assert not found.faults and len(found.warnings) == 3, [str(w) for w in found.said()]
    assert CliRunner().invoke(config, ["check", "-c", str(path)]).exit_code == 0


@pytest.mark.parametrize("text", ["", "users: [{name: ana, email: ana@shop.example}]\nexternal_url: https://t.example\n"])
def test_the_smallest_files_pass(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(text)
    smtp = "" if not text else 'global: {smtp_smarthost: "127.0.0.1:25", smtp_from: t@shop.example}\n'
    path.write_text(text + smtp)
    result = CliRunner().invoke(config, ["check", "-c", str(path)])
    assert result.exit_code == 0, result.output


def two_steps(**second: Any) -> Any:
    both = {
        "one": parse_schedule({"layers": [{"users": ["ana", "ben"], "anchor": "2026-01-05T09:00"}]}, name="one"),
        "two": parse_schedule({"layers": [{"users": ["ben", "ana"], "anchor": "2026-01-05T09:00", **second}]}, name="two"),
    }
    steps = tuple(PolicyStep((Target(TargetKind.SCHEDULE, name),)) for name in both)
    return directory(person("ana"), person("ben"), policy=Policy("web", steps), schedules=both)


def test_one_person_at_two_steps_at_once_is_a_doubt() -> None:
    assert said(two_steps()) == []
    [ana, ben] = said(two_steps(anchor="2026-01-06T09:00"))
    assert ana.startswith(
        "policy web: ana holds schedule one (step 1) and two (step 2) at once from 2026-01-05T09:00:00Z to 2026-01-06"
    )
    assert "and 1 more time" in ben


def test_a_fortnight_of_nights_is_a_doubt_and_a_fortnight_of_days_is_not() -> None:
    nights = directory(person("ana"), person("ben"), policy=policy(["ben"]), schedules=schedules(restrictions=[]))
    assert [text for text in said(nights) if "30 nights in a row from 2026-01-05" in text]
    shared = schedules(restrictions=[], users=["ana", "ben"])
    assert said(directory(person("ana"), person("ben"), policy=on_call(), schedules=shared)) == []


def test_what_waits_for_its_code_is_said_and_does_not_fail_the_check() -> None:
    eve = person("eve")
    waiting = replace(eve, methods=tuple(replace(method, verified=False) for method in eve.methods))
    found = lint(directory(waiting, person("ana"), policy=policy(["eve"], ["ana"])), MONDAY_MS)
    assert [doubt.text for doubt in found] == ["eve cannot be reached until email is verified with the code that was sent"]
    assert not any(doubt.grave for doubt in found)
    alone = lint(directory(waiting, policy=policy(["eve"])), MONDAY_MS)
    assert [doubt.kind for doubt in alone] == ["user", "policy"] and not any(doubt.grave for doubt in alone)
