"""The scenarios. Each is told to Tocsin and to Prometheus with Alertmanager in the same words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.chaos.stage import Stage
from bench.chaos.tocsin_side import TocsinSide

Play = Callable[[Stage], None]
FROZEN_S = 16.0
_MUTE_S = 4.5


@dataclass(frozen=True, slots=True)
class Scenario:
    """`faults`: the entries of the fault list it is about."""

    play: Play
    faults: str
    text: str
    small_disk: bool = False
    resend: str = "1m"
    people: bool = False

    @property
    def name(self) -> str:
        return self.play.__name__


def no_fault(stage: Stage) -> None:
    stage.fail_and_tell()
    stage.recover_and_tell()


def killed_while_firing(stage: Stage) -> None:
    stage.fail(0.5)
    stage.wait(3.5)
    stage.kill()
    stage.fail_and_tell()
    stage.recover_and_tell()


def killed_while_steady(stage: Stage) -> None:
    stage.fail_and_tell()
    stage.kill()
    stage.wait(stage.fault_s)
    stage.recover_and_tell()


def killed_while_resolving(stage: Stage) -> None:
    stage.fail_and_tell()
    stage.services.recover()
    stage.wait(2.5)
    stage.kill()
    stage.until_over()


def down_while_services_recover(stage: Stage) -> None:
    stage.fail_and_tell()
    stage.side.end()
    stage.services.recover()
    stage.wait(stage.fault_s / 2)
    stage.side.start()
    stage.until_over()


def restart_storm(stage: Stage) -> None:
    for n in range(5):
        stage.fail((n + 1) / 5)
        stage.wait(1.0)
        stage.kill()
    stage.fail_and_tell()
    stage.recover_and_tell()


def terminated_while_firing(stage: Stage) -> None:
    stage.fail()
    stage.wait(3.5)
    stage.side.stop()
    stage.side.start()
    stage.until_told()
    stage.recover_and_tell()


def _during(stage: Stage, **fault: Any) -> None:
    stage.receivers.fault(**fault)
    stage.fail()
    stage.wait(stage.fault_s)
    stage.receivers.heal()
    stage.until_told()
    stage.recover_and_tell()


def receivers_drop_connections(stage: Stage) -> None:
    _during(stage, do="drop", mail="drop")


def receivers_answer_429(stage: Stage) -> None:
    _during(stage, do="429", mail="451", retry_after=2)


def receivers_answer_500(stage: Stage) -> None:
    _during(stage, do="500", mail="451")


def receivers_lose_answers(stage: Stage) -> None:
    stage.receivers.flaky()
    stage.fail_and_tell()
    stage.recover_and_tell()


def slack_hangs(stage: Stage) -> None:
    stage.receivers.slack.fault = {"do": "hang", "seconds": stage.fault_s}
    stage.fail()
    stage.wait(stage.fault_s)
    stage.receivers.heal()
    stage.until_told()
    stage.recover_and_tell()


def evaluator_frozen(stage: Stage) -> None:
    stage.fail_and_tell()
    stage.side.freeze()
    stage.wait(FROZEN_S)
    stage.side.thaw()
    stage.wait(5)
    stage.recover_and_tell()


def scrapes_lost(stage: Stage) -> None:
    stage.fail_and_tell()
    stage.services.mute = True
    stage.wait(_MUTE_S)
    stage.services.mute = False
    stage.wait(8)
    stage.recover_and_tell()


def disk_full(stage: Stage) -> None:
    assert stage.disk is not None
    stage.fail(0.5)
    stage.until_told()
    stage.disk.fill()
    stage.wait(2)
    stage.fail()
    stage.wait(stage.fault_s)
    stage.disk.free()
    stage.until_told()
    stage.recover_and_tell()


def killed_on_a_full_disk(stage: Stage) -> None:
    assert stage.disk is not None
    stage.fail(0.5)
    stage.until_told()
    stage.disk.fill()
    stage.wait(2)
    stage.kill()
    stage.fail()
    stage.wait(stage.fault_s)
    stage.disk.free()
    stage.until_told()
    stage.recover_and_tell()


def silenced_then_killed(stage: Stage) -> None:
    stage.silence_everything()
    stage.wait(1)
    stage.kill()
    stage.fail()
    stage.wait(stage.fault_s)


def acknowledged_then_killed(stage: Stage) -> None:
    assert isinstance(stage.side, TocsinSide)
    stage.fail()
    stage.until(lambda: len(stage.receivers.webhook.person_paged()) >= 1, 60)
    stage.acknowledged_s = stage.side.acknowledge_all()
    stage.kill()
    stage.wait(stage.fault_s + 10)
    stage.until_told()
    stage.recover_and_tell()


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(no_fault, "", "nothing goes wrong"),
        Scenario(killed_while_firing, "F1", "kill -9 while half of the services have just failed"),
        Scenario(killed_while_steady, "F2", "kill -9 while all is firing and told"),
        Scenario(killed_while_resolving, "F3", "kill -9 while services recover"),
        Scenario(down_while_services_recover, "F3", "killed, services recover while it is down, started again"),
        Scenario(restart_storm, "F4", "five kills in a row while services fail one after the other"),
        Scenario(terminated_while_firing, "F5", "SIGTERM in mid-firing, and started again"),
        Scenario(receivers_drop_connections, "F8", "every receiver drops every connection for a while"),
        Scenario(receivers_answer_429, "F9", "every receiver answers 429 with Retry-After: 2 (mail: 451)"),
        Scenario(receivers_answer_500, "F10", "every receiver answers 500 (mail: 451)"),
        Scenario(receivers_lose_answers, "F6", "every third message is taken and its answer lost"),
        Scenario(slack_hangs, "F11", "Slack takes requests and never answers; the others are well"),
        Scenario(evaluator_frozen, "F20", "SIGSTOP of the evaluator until what it said has run out, SIGCONT", resend="2s"),
        Scenario(scrapes_lost, "F25", "four scrapes fail while the services are still bad"),
        Scenario(disk_full, "F14", "the disk is full while half of the services fail", small_disk=True),
        Scenario(killed_on_a_full_disk, "F14, F1", "kill -9 while the disk is full; then the other half fails", small_disk=True),
        Scenario(silenced_then_killed, "I6", "a silence is confirmed, kill -9 a second later, then services fail"),
        Scenario(acknowledged_then_killed, "F38", "everything is acknowledged, then kill -9", people=True),
    )
}
