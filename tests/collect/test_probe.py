"""The prober on virtual time: even spreading, confirmation, hung checks, reports that must wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import pytest
from tests.collect.fakes import ManualClock, SteadyRandom, running

from tocsin.collect import check as registry
from tocsin.collect.catalog import check_of, check_types, parse_check
from tocsin.collect.check import Check, check
from tocsin.collect.check_state import initial
from tocsin.collect.io import Io
from tocsin.collect.network import Network
from tocsin.collect.outcome import Outcome, ProbeError, failed, passed
from tocsin.collect.probe import Prober, _Planned, _timeout_ms
from tocsin.model.check import CheckReason, CheckResult, CheckSpec


class Script:
    """What scripted checks do, by name; the default is to pass."""

    plan: ClassVar[dict[str, list[str]]] = {}
    started: ClassVar[list[tuple[int, str]]] = []


@pytest.fixture(autouse=True)
def scripted() -> Iterator[type[Check]]:
    check_types.cache_clear()
    registry._TYPES.pop("scripted", None)

    @check("scripted")
    class Scripted(Check):
        """For tests."""

        who: str
        host: str = ""

        @property
        def target(self) -> str:
            return self.who

        async def run(self, io: Io) -> Outcome:
            Script.started.append((io.now_ms(), self.who))
            steps = Script.plan.get(self.who) or ["pass"]
            step = steps.pop(0) if len(steps) > 1 else steps[0]
            match step:
                case "hang":
                    await asyncio.sleep(3600)
                case "slow":
                    await io.network.clock.sleep_until_ms(io.now_ms() + 2_000)
                case "crash":
                    raise ZeroDivisionError("oops")
                case "blind":
                    return Outcome(False, CheckReason.BLIND, "blind", unknown=True)
                case "refused":
                    raise ConnectionRefusedError
                case "timeout":
                    raise TimeoutError
                case "probe-error":
                    raise ProbeError(CheckReason.QUERY, "no such table")
                case "fail":
                    return failed(CheckReason.STATUS, "HTTP 503")
            return passed("fine")

    Script.plan.clear()
    Script.started.clear()
    yield Scripted
    registry._TYPES.pop("scripted", None)
    check_types.cache_clear()


def spec(name: str, **values: object) -> CheckSpec:
    return replace(parse_check({"name": name, "scripted": {"who": name, "host": f"{name}.example"}}), **values)  # type: ignore[arg-type]


class Bench:
    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.results: list[CheckResult] = []
        self.fail_reports = 0
        self.prober = Prober(clock=clock, random=SteadyRandom(), io=Network(clock=clock), report=self.report)

    async def report(self, results: Sequence[CheckResult]) -> None:
        if self.fail_reports:
            self.fail_reports -= 1
            raise OSError("the core is away")
        self.results.extend(results)


@pytest.fixture
def bench(clock: ManualClock) -> Bench:
    return Bench(clock)


async def test_a_failure_is_confirmed_within_ten_seconds(bench: Bench, clock: ManualClock) -> None:
    Script.plan["a"] = ["pass", "fail"]
    bench.prober.apply([spec("a")])
    async with running(bench.prober.run()):
        await clock.advance(130_000, step_ms=1000)
    times = [t for t, _ in Script.started]
    first_failure = times[1]
    assert [t - first_failure for t in times[2:4]] == [5_000, 10_000]
    assert [r.attempt for r in bench.results][:4] == [1, 1, 2, 3]
    assert times[4] - first_failure == 60_000, "a confirmed one goes back to its period"


async def test_recovery_is_confirmed_soon_too(bench: Bench, clock: ManualClock) -> None:
    Script.plan["a"] = ["fail", "fail", "fail", "pass"]
    bench.prober.apply([spec("a")])
    async with running(bench.prober.run()):
        await clock.advance(140_000, step_ms=1000)
    good = [r.started_ms for r in bench.results if r.ok]
    assert good[1] - good[0] == 5_000
    assert good[2] - good[0] == 60_000


async def test_many_checks_are_a_steady_trickle(bench: Bench, clock: ManualClock) -> None:
    bench.prober.apply([spec(f"c{i}") for i in range(400)])
    async with running(bench.prober.run()):
        await clock.advance(10_000, step_ms=1000)
        Script.started.clear()
        await clock.advance(60_000, step_ms=1000)
    tenths = [sum(1 for t, _ in Script.started if t // 6000 == tenth) for tenth in {t // 6000 for t, _ in Script.started}]
    assert 390 <= len(Script.started) <= 410
    assert max(tenths) < 75, "no tenth of the minute has twice its share"


async def test_a_hung_check_delays_no_other(bench: Bench, clock: ManualClock) -> None:
    Script.plan["stuck"] = ["hang"]
    stuck = spec("stuck", timeout_ms=80, every_ms=1_000)
    bench.prober.apply([stuck, spec("quick", every_ms=1_000)])
    async with running(bench.prober.run()):
        await clock.advance(6_000, step_ms=200)
        assert sum(1 for r in bench.results if r.check_id == "quick") >= 5
        await asyncio.sleep(0.15)
        await clock.settle()
    timeout = next(r for r in bench.results if r.check_id == "stuck")
    assert timeout.reason is CheckReason.TIMEOUT


@pytest.mark.parametrize(
    ("step", "reason", "unknown"),
    [
        ("crash", CheckReason.INTERNAL, True),
        ("refused", CheckReason.REFUSED, False),
        ("probe-error", CheckReason.QUERY, False),
        ("blind", CheckReason.BLIND, True),
    ],
)
async def test_whatever_a_check_meets_becomes_a_result(bench: Bench, step: str, reason: CheckReason, unknown: bool) -> None:
    Script.plan["a"] = [step]
    bench.prober.apply([spec("a")])
    result = await bench.prober.run_now("a", "r", by="ana")
    assert result is not None
    assert (result.reason, result.unknown, result.ok) == (reason, unknown, False)


async def test_results_wait_while_the_core_is_away(bench: Bench, clock: ManualClock) -> None:
    bench.fail_reports = 3
    bench.prober.apply([spec("a", every_ms=1_000)])
    async with running(bench.prober.run()):
        await clock.advance(5_000, step_ms=250)
    assert [r.started_ms for r in bench.results] == sorted(t for t, _ in Script.started)[: len(bench.results)]
    assert len(bench.results) >= 4, "nothing is lost"


async def test_paused_passive_and_foreign_checks_are_not_run(bench: Bench, clock: ManualClock) -> None:
    elsewhere = spec("there", locations=("paris",))
    beat = parse_check({"name": "beat", "heartbeat": "1h"})
    bench.prober.apply([spec("off", paused=True), elsewhere, beat])
    async with running(bench.prober.run()):
        await clock.advance(120_000, step_ms=1000)
    assert Script.started == []
    assert await bench.prober.run_now("beat") is None


async def test_an_unchanged_check_keeps_its_schedule_over_a_reload(bench: Bench, clock: ManualClock) -> None:
    bench.prober.apply([spec("a")])
    async with running(bench.prober.run()):
        await clock.advance(70_000, step_ms=1000)
        due = bench.prober.next_ms("a")
        bench.prober.apply([spec("a"), spec("b")])
        assert bench.prober.next_ms("a") == due
        await clock.advance(1_000)
    assert Script.started[-1][1] == "b", "a new check runs at once"


async def test_check_now_runs_beside_the_schedule(bench: Bench, clock: ManualClock) -> None:
    bench.prober.apply([spec("a")])
    async with running(bench.prober.run()):
        await clock.advance(1_000)
        result = await bench.prober.run_now("a", "run-9", by="ana")
        assert await bench.prober.run_now("nope") is None
        await clock.advance(1_000)
    assert result is not None
    assert (result.manual_by, result.facts["run_id"]) == ("ana", "run-9")
    assert bench.results[-1].manual_by == "ana"


async def test_when_everybody_fails_at_once_it_is_us(bench: Bench, clock: ManualClock) -> None:
    names = ["a", "b", "c", "d"]
    bench.prober.apply([spec(name) for name in names])
    async with running(bench.prober.run()):
        await clock.advance(2_000)
        for name in names:
            Script.plan[name] = ["timeout"]
        await clock.advance(120_000, step_ms=500)
        blind = [r for r in bench.results if not r.ok]
        assert blind
        assert all((r.unknown, r.reason) == (True, CheckReason.BLIND) for r in blind)
        assert "own network fails" in blind[0].message
        for name in names:
            Script.plan[name] = ["pass"]
        bench.results.clear()
        await clock.advance(61_000, step_ms=500)
        assert {r.check_id for r in bench.results if r.ok} == set(names), "and it goes on when the network is back"
        assert not [r for r in bench.results if r.unknown]


async def test_slow_and_heavy_checks_are_no_references_for_the_network(
    bench: Bench, clock: ManualClock, scripted: type[Check]
) -> None:
    """A browser needs longer than a self-test lasts: its timeout there says nothing about the network."""
    bench.prober.apply([spec(name) for name in "abcd"])
    for name in "bcd":
        Script.plan[name] = ["slow"]
    async with running(bench.prober.run()):
        await clock.advance(70_000, step_ms=500)
        assert {r.check_id for r in bench.results if r.ok} == set("abcd")
        Script.plan["a"], started = ["timeout"], len(Script.started)
        for name in "bcd":
            Script.plan[name] = ["timeout"]
        await clock.advance(60_000, step_ms=500)
    assert [r for r in bench.results if r.check_id == "a" and not r.ok and not r.unknown]
    assert len(Script.started) > started


def test_a_recheck_is_never_shorter_than_what_good_runs_took() -> None:
    known = _Planned(spec("a", timeout_ms=60_000), None, initial(spec("a"), 0), 0)
    quick = check_of(known.spec)
    assert [_timeout_ms(replace(known, good_ms=ms), quick, 2) for ms in (0.0, 40.0, 4_000.0, 50_000.0)] == [
        5_000, 5_000, 8_000, 60_000,
    ]  # fmt: skip
    assert _timeout_ms(known, quick, 1) == 60_000


async def test_when_one_fails_and_the_others_answer_it_is_them(bench: Bench, clock: ManualClock) -> None:
    bench.prober.apply([spec(name) for name in "abcd"])
    async with running(bench.prober.run()):
        await clock.advance(2_000)
        Script.plan["a"] = ["timeout"]
        await clock.advance(80_000, step_ms=500)
    bad = [r for r in bench.results if not r.ok]
    assert len(bad) >= 3
    assert not any(r.unknown for r in bad)


async def test_a_refused_connection_proves_the_network_and_needs_no_self_test(bench: Bench, clock: ManualClock) -> None:
    bench.prober.apply([spec(name) for name in "abcd"])
    async with running(bench.prober.run()):
        await clock.advance(2_000)
        for name in "abcd":
            Script.plan[name] = ["refused"]
        await clock.advance(80_000, step_ms=500)
    assert not any(r.unknown for r in bench.results)


async def test_with_too_few_references_a_failure_counts(bench: Bench, clock: ManualClock) -> None:
    bench.prober.apply([spec("a"), spec("b")])
    async with running(bench.prober.run()):
        await clock.advance(2_000)
        Script.plan["a"], Script.plan["b"] = ["timeout"], ["timeout"]
        await clock.advance(80_000, step_ms=500)
    assert not any(r.unknown for r in bench.results)
