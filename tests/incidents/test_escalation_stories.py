"""What happens on gaps, quiet hours, snoozes, reopening, manual ends, mergers, restarts: told on virtual time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import START_MS, run_virtual

from tocsin.errors import CommandError
from tocsin.incidents.people import Service
from tocsin.incidents.schedule import parse_schedule
from tocsin.model.alert import PageReason, SuppressedBy, Suppression
from tocsin.model.event import Actor
from tocsin.model.incident import Person, Policy, PolicyStep, QuietHours, Target, TargetKind
from tocsin.model.labels import Labels
from tocsin.model.ports import SmtpAnswer

MINUTE = 60
ALL_OVER = PageReason.ALL_RESOLVED


def test_an_empty_step_is_skipped_without_its_wait_and_the_reason_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(Person("nobody"), person("ben"), policy=policy(["nobody"], ["ben"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)
            assert h.mails_to("ben") == 1
            told = {row["who"]: (row["told"], row["text"]) for row in h.detail()["why"]}
            assert told["ben"][0] and told["nobody"] == (False, "nobody: cannot be reached: no verified contact method")

    run_virtual(story())


def test_nobody_on_call_leads_to_the_next_step_and_the_last_resort_is_never_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        gone = {
            "name": "l",
            "users": ["ana"],
            "anchor": "2020-01-01T00:00",
            "until": "2021-01-01T00:00",
            "period": {"unit": "weeks"},
        }
        schedule = parse_schedule({"tz": "UTC", "layers": [gone]}, name="web")
        steps = (PolicyStep((Target(TargetKind.SCHEDULE, "web"),)),)
        people = directory(person("ana"), person("ben"), policy=Policy("web", steps, 2), schedules={"web": schedule})
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)
            assert h.mails_to("ana") == h.mails_to("ben") == 1
            assert any("nobody is on call" in row["text"] for row in h.detail()["timeline"])
            assert h.story().count("escalated") == 2, "an empty policy is not walked round after round"

    run_virtual(story())


def test_the_policy_repeats_and_then_pages_its_final_target(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), person("boss"), policy=policy(["ana"], repeat=1, final=["boss"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(9 * MINUTE)
            assert (h.mails_to("ana"), h.mails_to("boss")) == (2, 0)
            await h.wait(2 * MINUTE)
            assert (h.mails_to("ana"), h.mails_to("boss")) == (2, 1)
            await h.wait(15 * MINUTE)
            assert (h.mails_to("ana"), h.mails_to("boss")) == (2, 1)
            await h.page(page(alert(), reason=PageReason.REPEAT))
            await h.wait(1)
            assert h.mails_to("ana") == 3, "the repeat interval starts the policy anew"

    run_virtual(story())


def test_quiet_hours_hold_a_warning_until_morning_and_let_a_critical_page_through(tmp_path: Path) -> None:
    async def story() -> None:
        quiet = QuietHours(22 * 60, 7 * 60, "UTC")
        people = directory(person("ana", quiet_hours=quiet), policy=policy(["ana"], delay_ms=86_400_000))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert("Slow", severity="warning"), group="slow"))
            await h.page(page(alert("Down"), group="down"))
            await h.wait(60)
            assert [(row["incident"], row["state"]) for row in h.log()] == [(1, "held"), (2, "accepted")]
            h.clock.jump_ms(7 * 3_600_000)
            await h.wait(60)
            assert [row["state"] for row in h.log()] == ["accepted", "accepted"]

    run_virtual(story())


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_a_clock_that_is_moved_makes_no_page_late_and_none_expire(tmp_path: Path, step_ms: int) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "s.db").running() as h:
            h.smtp.default = SmtpAnswer(0, "connection refused", False)
            await h.page(page(alert()))
            await h.wait(30)
            h.clock.jump_ms(step_ms)
            h.smtp.default = SmtpAnswer(250, "queued", True)
            await h.wait(45)
            assert h.mails_to("ana") >= 1
            assert {row["state"] for row in h.log()} <= {"accepted", "bundled"}

    run_virtual(story())


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_a_clock_that_is_moved_starts_the_next_step_neither_early_nor_late(tmp_path: Path, step_ms: int) -> None:
    async def story() -> None:
        people = directory(person("ana"), person("ben"), policy=policy(["ana"], ["ben"], delay_ms=120_000))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(30)
            h.clock.jump_ms(step_ms)
            await h.wait(60)
            assert h.mails_to("ben") == 0
            await h.wait(45)
            assert h.mails_to("ben") == 1

    run_virtual(story())


def test_the_snoozer_is_paged_first_and_then_the_policy(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), person("ben"), policy=policy(["ben"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)
            await h.command("snooze", until_ms=h.clock.now_ms() + 600_000)
            await h.wait(9 * MINUTE)
            assert (h.mails_to("ana"), h.mails_to("ben")) == (0, 2), "ben was paged and told who has it"
            await h.wait(2 * MINUTE)
            assert h.mails_to("ana") == 1 and h.incidents()[0]["state"] == "triggered"
            await h.wait(5 * MINUTE)
            assert h.mails_to("ben") == 3

    run_virtual(story())


def test_what_fires_again_soon_is_the_same_incident_and_later_a_new_one(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), policy=policy(["ana"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert(starts_at_ms=1)))
            await h.wait(5)
            await h.page(page(resolved=[alert(starts_at_ms=1, ends_at_ms=2)], reason=ALL_OVER))
            await h.wait(MINUTE)
            await h.page(page(alert(starts_at_ms=3)))
            await h.wait(5)
            assert [row["number"] for row in h.incidents()] == [1] and h.mails_to("ana") == 3
            await h.page(page(resolved=[alert(starts_at_ms=3, ends_at_ms=4)], reason=ALL_OVER))
            await h.wait(11 * MINUTE)
            await h.page(page(alert(starts_at_ms=5)))
            await h.wait(5)
            assert h.detail(2)["previous"] == 1 and h.detail(2)["similar"][0]["number"] == 1

    run_virtual(story())


def test_resolved_by_hand_while_firing_stays_resolved_until_something_new_happens(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), policy=policy(["ana"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert(starts_at_ms=1)))
            await h.wait(5)
            await h.command("resolve", text="known, ignore")
            await h.page(page(alert(starts_at_ms=1), reason=PageReason.REPEAT))
            await h.wait(5)
            assert [row["state"] for row in h.incidents()] == ["resolved"]
            await h.page(page(alert(starts_at_ms=1), alert("Down", instance="b", starts_at_ms=9), reason=PageReason.NEW_ALERTS))
            await h.wait(5)
            assert [row["state"] for row in h.incidents()] == ["triggered"]

    run_virtual(story())


def test_a_raised_severity_takes_it_back_from_its_holder(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), person("ben"), policy=policy(["ben"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert(severity="warning")))
            await h.wait(1)
            await h.command("acknowledge")
            await h.wait(1)
            await h.page(page(alert(severity="warning"), alert(severity="critical"), reason=PageReason.NEW_ALERTS))
            await h.wait(1)
            row = h.incidents()[0]
            assert (row["state"], row["severity"], row["urgency"]) == ("triggered", "critical", "high")
            assert h.mails_to("ana") == 1 and h.mails_to("ben") == 3

    run_virtual(story())


def test_an_acknowledgement_that_is_forgotten_times_out_after_a_reminder(tmp_path: Path) -> None:
    async def story() -> None:
        web = Service("web", ack_timeout_ms=1_800_000)
        people = directory(person("ana"), policy=policy(["ana"]), services={"web": web})
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)
            await h.command("acknowledge")
            await h.wait(26 * MINUTE)
            assert "reminded" in h.story()
            await h.command("acknowledge")
            await h.wait(20 * MINUTE)
            assert h.incidents()[0]["state"] == "acknowledged", "one answer to the reminder extends it"
            await h.wait(11 * MINUTE)
            assert h.incidents()[0]["state"] == "triggered"

    run_virtual(story())


def test_a_suppressed_group_opens_quietly_and_pages_when_it_is_audible(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), policy=policy(["ana"]))
        async with House(people, tmp_path / "s.db").running() as h:
            causes = (SuppressedBy(Suppression.SILENCED, "s1"),)
            await h.page(page(muted=[(alert(), causes)]))
            await h.wait(600)
            assert h.incidents()[0]["state"] == "suppressed" and h.mails_to("ana") == 0
            await h.page(page(alert(), reason=PageReason.UNSUPPRESSED))
            await h.wait(1)
            assert h.mails_to("ana") == 1
            await h.page(page(muted=[(alert(), causes)]))
            await h.wait(600)
            assert h.incidents()[0]["state"] == "suppressed" and h.mails_to("ana") == 1

    run_virtual(story())


def test_a_merged_incident_lives_on_in_the_other(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), policy=policy(["ana"]))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert("A"), group="a"))
            await h.page(page(alert("B"), group="b"))
            await h.wait(5)
            await h.command("merge", 1, into=2)
            assert (await h.command("acknowledge", 1))["number"] == 2
            await h.page(page(resolved=[alert("B", ends_at_ms=9)], reason=ALL_OVER, group="b"))
            await h.wait(5)
            assert {row["number"]: row["state"] for row in h.incidents()} == {1: "merged", 2: "acknowledged"}
            await h.page(page(resolved=[alert("A", ends_at_ms=9)], reason=ALL_OVER, group="a"))
            await h.wait(5)
            assert {row["number"]: row["state"] for row in h.incidents()} == {1: "merged", 2: "resolved"}
            with pytest.raises(CommandError):
                await h.command("merge", 2, into=2)

    run_virtual(story())


def test_steps_that_came_due_while_tocsin_was_down_run_together_and_say_so(tmp_path: Path) -> None:
    people = directory(person("ana"), person("ben"), person("chi"), policy=policy(["ana"], ["ben"], ["chi"]))

    async def before() -> None:
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)

    async def after() -> None:
        h = House(people, tmp_path / "s.db", new_database=False)
        h.clock.jumped_ms = 11 * 60_000
        async with h.running():
            await h.wait(1)
            assert [h.mails_to(name) for name in ("ana", "ben", "chi")] == [0, 1, 1]
            assert "late: the monitor was down" in h.smtp.mails[0].message.decode()

    run_virtual(before())
    run_virtual(after())


@pytest.mark.parametrize(
    ("name", "args", "status"),
    [
        ("nonsense", {}, 404),
        ("acknowledge", {"number": 77}, 404),
        ("acknowledge", {"number": "1"}, 422),
        ("snooze", {"until_ms": "soon"}, 422),
        ("note", {"text": "  "}, 422),
        ("assign", {"to": "eve"}, 422),
        ("verdict", {"verdict": "dunno"}, 422),
        ("remediation", {}, 422),
        ("resolve", {"version": 1}, 409),
    ],
)
def test_commands_that_cannot_be_are_refused_with_a_reason(name: str, args: dict[str, Any], status: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            with pytest.raises(CommandError) as caught:
                await h.escalator.command(name, {"number": 1, **args}, Actor("user", "ana"))
            assert caught.value.status == status

    run_virtual(story())


def test_the_operators_notes_verdict_and_remediation_are_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), person("ben"), policy=policy(["ana"])), tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.command("note", text="looking at it")
            await h.command("verdict", verdict="real")
            await h.command("remediation", summary="restarted the pool", held=True)
            assert (await h.command("assign", to="ben"))["assignee"] == "ben"
            await h.wait(1)
            detail = h.detail()
            assert detail["verdict"] == "real" and detail["remediation"]["by"] == "ana"
            assert {"noted", "judged", "remediated", "assigned"} <= set(h.story()) and h.mails_to("ben") == 1

    run_virtual(story())


def test_a_declared_receiver_with_nothing_in_it_means_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana")), tmp_path / "s.db").running() as h:
            await h.page(page(alert("Watchdog")))
            await h.wait(600)
            assert not h.incidents() and h.mails_to("ana") == 0

    run_virtual(story())


def test_a_lost_escalation_is_found_by_the_auditor_and_paged_anew(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana"), policy=policy(["ana"], delay_ms=3_600_000))
        async with House(people, tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            await h.wait(1)
            await h.db.write(lambda tx: tx.exec_driver_sql("update incidents set next_escalation_at_ms=0"))
            await h.wait(3 * MINUTE)
            assert "repaired" in h.story() and h.mails_to("ana") == 2

    run_virtual(story())


def test_a_service_that_claims_the_alert_lends_its_policy_runbook_and_urgency() -> None:
    web = Service("web", policy="web", urgency="low", runbook="https://wiki/web")
    people = replace(directory(person("ana"), policy=policy(["ana"])), services={"web": web})
    people = replace(people, receivers={"web": replace(people.receivers["web"], policy="")})
    service = people.service_for(Labels({"service": "web"}))
    assert people.policy_for("web", service).name == "web" and people.urgency_for(service, "critical").value == "low"
    assert people.service_for(Labels({"service": "db"})).name == "db"
    assert START_MS
