"""What would fail on a bad night is said at `config check`, with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.fakes.house import directory, person, policy

from tocsin.cli.config import config
from tocsin.config.load import build, read_sources
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
         ["user ana:", "policy web: no step reaches anybody from 2026-01-05T00:00:00Z to 2026-02-04T00:00:00Z; then its last"]),
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


def test_config_check_warns_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(CONFIG)
    warnings = [str(w) for w in build(read_sources([path]), now_ms=MONDAY_MS).warnings]
    assert f"{path}:6:5: warning: users[1]: user eve: eve cannot be reached: add a contact or an email address" in warnings
    assert any(w.startswith(f"{path}:9:5: warning: policies[0]: policy night: no step reaches anybody") for w in warnings)
    result = CliRunner().invoke(config, ["check", "-c", str(path)])
    assert result.exit_code == 0 and "user eve" in result.output and "policy night" in result.output
