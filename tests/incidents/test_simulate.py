"""`tocsin oncall simulate` says what the escalator then does, to the instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import START_MS, run_virtual

from tocsin.cli.oncall import oncall
from tocsin.errors import Place
from tocsin.incidents.people import Directory
from tocsin.incidents.schedule import parse_schedule
from tocsin.incidents.simulate import simulate
from tocsin.model.incident import NotificationRule, Person, Policy, PolicyStep, QuietHours, Target, TargetKind
from tocsin.model.route import Destination, Receiver

WEEKLY = {"name": "l", "users": ["ana", "ben"], "anchor": "2025-12-29T00:00:10", "period": {"unit": "hours", "every": 1}}


def quick(*steps: Sequence[str], repeat: int = 1, final: Sequence[str] = ()) -> Policy:
    return policy(*steps, delay_ms=20_000, repeat=repeat, final=final)


ON_CALL = PolicyStep((Target(TargetKind.SCHEDULE, "web"),), 20_000)
SLOW_MAIL = person("ana", rules=(NotificationRule("email", 120_000),))
SLEEPER = person("ben", quiet_hours=QuietHours(0, 60, "UTC", ()))
HOOK = Destination("webhook", {"url": "https://hook.example/x"})


@pytest.mark.parametrize(
    "people",
    [
        directory(person("ana"), person("ben"), policy=quick(["ana"], ["ben"], repeat=2, final=["ana"])),
        directory(Person("nobody"), person("ben"), policy=quick(["nobody"], ["ben"])),
        directory(Person("nobody"), policy=quick(["nobody"])),
        directory(SLOW_MAIL, SLEEPER, policy=quick(["ana"], ["ben"], repeat=0)),
        directory(person("ana"), person("ben"), policy=Policy("web", (ON_CALL, ON_CALL), 1),
                  schedules={"web": parse_schedule({"layers": [WEEKLY]}, name="web")}),
        directory(person("ana"), policy=Policy("web", (replace(ON_CALL, min_severity="critical"), ON_CALL), 1)),
        directory(person("ana"), policy=quick(["ana"]), destinations=[HOOK]),
        directory(person("ana"), destinations=[HOOK]),
    ],
)  # fmt: skip
def test_what_is_foretold_is_what_happens(people: Directory, tmp_path: Path) -> None:
    # "warning" passes over steps that are for critical ones.
    foretold = simulate(people, "web", {"severity": "warning", "service": "web"}, START_MS)

    async def story() -> list[tuple[int, str]]:
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert(severity="warning")))
            await h.wait((foretold.moments[-1].t_ms - START_MS) / 1000 + 25)
            done = [e for e in h.detail()["timeline"] if e["verb"] == "escalated"]
            return [(e["t_ms"], e["text"].rpartition(":")[0]) for e in done]

    assert [(m.t_ms, m.step) for m in foretold.moments] == run_virtual(story())


def test_rules_and_quiet_hours_move_the_message_not_the_step() -> None:
    people = directory(SLOW_MAIL, SLEEPER, policy=quick(["ana", "ben"], repeat=0))
    first = simulate(people, "web", {"severity": "critical"}, START_MS).moments[0]
    assert {n.recipient.who: n.t_ms - START_MS for n in first.notices} == {"ana": 120_000, "ben": 3_600_000}


def test_a_receiver_declared_empty_pages_nobody() -> None:
    people = Directory(persons={"ana": person("ana")}, receivers={"null": Receiver("null", place=Place("tocsin.yaml", 3))})
    assert simulate(people, "null", {"severity": "critical"}, START_MS).moments == ()


CONFIG = """
external_url: https://tocsin.example
global: {smtp_smarthost: "127.0.0.1:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}
users: [{name: ana, email: ana@shop.example}, {name: ben, email: ben@shop.example}]
schedules:
  - name: web
    tz: Europe/Berlin
    layers: [{name: primary, users: [ana, ben], anchor: "2026-01-05T09:00", period: {unit: weeks, every: 1}}]
policies: [{name: default, steps: [{notify: "schedule:web", wait: 5m}, {notify: ben}], repeat: 0}]
route: {receiver: ops, group_wait: 30s, routes: [{receiver: none, matchers: [severity="info"]}]}
receivers: [{name: ops, policy: default}, {name: none}]
"""


def test_the_command_names_people_minutes_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yaml"
    path.write_text(CONFIG)

    def said(labels: str, *more: str) -> Any:
        args = ["simulate", "--labels", labels, "--at", "2026-12-25T03:00+01:00", "-c", str(path), *more]
        return CliRunner().invoke(oncall, args, catch_exceptions=True)

    out = said("severity=critical,service=shop").output
    assert "+  0.5 min  ana by email to ana@shop.example: on call by schedule web, layer primary" in out
    assert "+  5.5 min  ben by email" in out and "last resort of default" in out
    assert "declared empty" in said("severity=info").output
    assert '"receiver": "ops"' in said("severity=critical", "--json").output
    assert "expected NAME=VALUE" in str(said("critical").exception)
