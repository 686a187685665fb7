"""Runs checks: each on its own even schedule, none waiting for another.

    plan (spread evenly) ──due──▶ run with timeout ──CheckResult──▶ report
                          ◀──re-check soon while a change is unconfirmed──

Checks are never put on shared phases: a thousand of them are a steady trickle, and a hung one holds only its own place.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tocsin.clock import Clock
from tocsin.collect import selftest
from tocsin.collect.catalog import check_of
from tocsin.collect.check import Check
from tocsin.collect.check_state import RECHECK_TIMEOUT_MS, initial, recheck_delay_ms, step
from tocsin.collect.io import Io, Trace
from tocsin.collect.network import Network
from tocsin.collect.outcome import Outcome, failed, outcome_of
from tocsin.collect.reporting import Report, Reporter
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge, Histogram
from tocsin.model.check import CheckReason, CheckResult, CheckSpec, CheckStatus, Phase
from tocsin.model.duration import human_duration
from tocsin.model.ports import Random

log = get_log("collect.probe")

runs_total = Counter("tocsin_collect_check_runs_total", "Executions of checks.", ["type", "outcome"])
start_lag = Histogram("tocsin_collect_check_start_lag_seconds", "How much later than planned a check started.")
running = Gauge("tocsin_collect_checks_running", "Checks being executed now.")

Follow = Callable[[str, tuple[Phase, ...]], None]
"""Told what a run is doing now and the phases that it has behind it; returns at once."""

_MOST_AT_ONCE = 500
_IDLE_MS = 1_000
_FIRST_RUN_MS = 1_000
_FIRST_RUN_EACH_MS = 20
"""A new check shows something within a second; many new ones are spread, so that they do not measure each other."""


@dataclass(slots=True)
class _Planned:
    spec: CheckSpec
    check: Check | None
    status: CheckStatus
    due_ms: int
    attempt: int = 1
    busy: bool = False
    good_ms: float = 0.0
    """How long the last good runs took: a re-check must not be shorter than what the target needs."""


class Prober:
    """The loop of the probe process. `report` may be slow or fail: results wait, measuring goes on."""

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        io: Network,
        report: Report,
        location: str = "local",
        most_at_once: int = _MOST_AT_ONCE,
    ) -> None:
        self._clock = clock
        self._random = random
        self._network = io
        self._reporter = Reporter(clock, report)
        self._location = location
        self._plan: dict[str, _Planned] = {}
        self._queue: list[tuple[int, int, _Planned]] = []
        """Heap of (due, order, check); an entry whose due time is not the check's own any more is void."""
        self._order = itertools.count()
        self._awake_ms = clock.now_ms()
        self._slots = asyncio.Semaphore(most_at_once)
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._blind = ""
        self._tested_ms = 0
        self._testing = asyncio.Lock()
        selftest.blind_gauge.set(0.0, location)

    # -- the plan ------------------------------------------------------------------------------------------------------

    def apply(self, specs: Sequence[CheckSpec]) -> None:
        """Run these checks from now on. An unchanged check keeps its schedule and what it has seen."""
        now_ms = self._clock.now_ms()
        old, self._plan = self._plan, {}
        new = sum(1 for spec in specs if spec.id not in old)
        within_ms = max(_FIRST_RUN_MS, new * _FIRST_RUN_EACH_MS)
        for spec in specs:
            if self._location not in spec.locations:
                continue
            known = old.get(spec.id)
            if known is not None and known.spec == spec:
                self._plan[spec.id] = known
            elif (planned := self._planned(spec, now_ms, known, within_ms)) is not None:
                self._plan[spec.id] = planned
                self._schedule(planned, planned.due_ms)

    def _planned(self, spec: CheckSpec, now_ms: int, known: _Planned | None, within_ms: int) -> _Planned | None:
        try:
            check = check_of(spec)
        except (KeyError, ValueError) as error:
            log.error("check cannot be run here", check=spec.id, type=spec.type, error=str(error))
            return None
        if check.passive:
            return None
        status = known.status if known is not None and known.spec.type == spec.type else initial(spec, now_ms)
        if spec.paused != (status.state == "paused"):
            status = initial(spec, now_ms)
        return _Planned(spec, check, status, now_ms + round(self._random.random() * min(spec.every_ms, within_ms)))

    def next_ms(self, check_id: str) -> int:
        planned = self._plan.get(check_id)
        return planned.due_ms if planned else 0

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        sender = asyncio.create_task(self._reporter.run(), name="probe-report")
        try:
            while True:
                now_ms = self._clock.now_ms()
                if now_ms < self._awake_ms - _IDLE_MS:
                    self._clock_was_set_back()
                self._awake_ms = now_ms
                while self._queue and self._queue[0][0] <= now_ms:
                    due_ms, _, planned = heapq.heappop(self._queue)
                    if self._plan.get(planned.spec.id) is planned and planned.due_ms == due_ms and not planned.busy:
                        self._start(planned)
                await self._wait(now_ms)
        finally:
            for task in (sender, *self._tasks):
                task.cancel()
            await asyncio.gather(sender, *self._tasks, return_exceptions=True)

    def _schedule(self, planned: _Planned, due_ms: int) -> None:
        """Run the check at `due_ms`, not at any time said before."""
        planned.due_ms = due_ms
        heapq.heappush(self._queue, (due_ms, next(self._order), planned))
        if self._queue[0][2] is planned:
            self._changed.set()

    def _clock_was_set_back(self) -> None:
        """Every due time lies in a future that may be hours away: plan anew."""
        log.warning("the clock was set back: every check is planned anew")
        self._queue.clear()
        for planned in self._plan.values():
            if not planned.busy:
                self._schedule(planned, self._next_slot(planned.spec))

    async def _wait(self, now_ms: int) -> None:
        """Until the next check is due or an earlier one came in."""
        self._changed.clear()
        due_ms = min(self._queue[0][0] if self._queue else now_ms + _IDLE_MS, now_ms + _IDLE_MS)
        sleep = asyncio.ensure_future(self._clock.sleep_until_ms(due_ms))
        wake = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((sleep, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            wake.cancel()

    def _start(self, planned: _Planned) -> None:
        if planned.spec.paused:
            return  # a resumed check comes with a new plan
        planned.busy = True
        task = asyncio.create_task(self._run_planned(planned), name=f"check-{planned.spec.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_planned(self, planned: _Planned) -> None:
        try:
            result = await self._execute(planned, attempt=planned.attempt, due_ms=planned.due_ms)
            result = await self._unless_blind(planned.spec, result)
        finally:
            planned.busy = False
            self._schedule(planned, self._next_slot(planned.spec))
        self._seen(planned, result)
        self._reporter.put(result)

    def _seen(self, planned: _Planned, result: CheckResult) -> None:
        """Take the result into account and plan the next look."""
        if not selftest.is_local(selftest.host_of(planned.spec.settings)):
            self._sees(result)
        if result.ok:
            planned.good_ms = max(result.duration_ms, planned.good_ms * 0.9)
        planned.status = step(planned.spec, planned.status, result)
        delay_ms = recheck_delay_ms(planned.spec, planned.status)
        planned.attempt = planned.attempt + 1 if delay_ms else 1
        if delay_ms and not planned.busy:
            self._schedule(planned, min(planned.due_ms, result.started_ms + delay_ms))

    def _next_slot(self, spec: CheckSpec) -> int:
        """The next of the check's own moments: a fixed place within its period, spread evenly by its id."""
        now_ms = self._clock.now_ms()
        place = int.from_bytes(hashlib.blake2b(spec.id.encode(), digest_size=8).digest(), "big") % spec.every_ms
        return now_ms - (now_ms - place) % spec.every_ms + spec.every_ms

    async def run_now(
        self, check_id: str, run_id: str = "", *, by: str = "", report: bool = True, follow: Follow | None = None
    ) -> CheckResult | None:
        """Execute at once, beside the schedule; None = this prober has no such check.

        `run_id` and the person's name travel in the result, which is also reported. `follow` is told of each phase.
        """
        planned = self._plan.get(check_id)
        if planned is None:
            return None
        result = await self._execute(planned, attempt=1, due_ms=self._clock.now_ms(), follow=follow)
        result = await self._unless_blind(planned.spec, result)
        result = replace(result, manual_by=by or "somebody", facts={**result.facts, "run_id": run_id})
        self._seen(planned, result)
        if report:
            self._reporter.put(result)
        return result

    # -- one execution -------------------------------------------------------------------------------------------------

    async def _execute(self, planned: _Planned, *, attempt: int, due_ms: int, follow: Follow | None = None) -> CheckResult:
        spec, check = planned.spec, planned.check
        assert check is not None
        timeout_ms = _timeout_ms(planned, check, attempt)
        async with self._slots:
            running.set(running.value() + 1)
            started_ms, start_s = self._clock.now_ms(), self._clock.monotonic_s()
            lag_ms = max(started_ms - due_ms, 0)
            start_lag.observe(lag_ms / 1000)
            trace = Trace()
            if follow is not None:
                trace.watch = partial(_tell, trace, follow)
            io = Io(self._network, trace, timeout_s=timeout_ms / 1000)
            try:
                outcome = await _bounded(check, io, timeout_ms)
            finally:
                running.set(running.value() - 1)
            duration_ms = (self._clock.monotonic_s() - start_s) * 1000
            if check.waits_in_phases and trace.phases:
                duration_ms = io.waited_ms()
        if outcome.reason is CheckReason.INTERNAL:
            log.error("a check failed by its own fault", check=spec.id, type=spec.type, error=outcome.message)
        runs_total.inc(spec.type, "unknown" if outcome.unknown else "ok" if outcome.ok else "failed")
        return CheckResult(
            check_id=spec.id,
            started_ms=started_ms,
            duration_ms=duration_ms,
            ok=outcome.ok,
            reason=outcome.reason,
            message=outcome.message,
            phases=tuple(trace.phases),
            facts={**trace.facts, **outcome.facts},
            samples=outcome.samples,
            degraded=outcome.degraded,
            unknown=outcome.unknown,
            location=self._location,
            attempt=attempt,
            start_lag_ms=float(lag_ms),
        )

    # -- is it them, or is it us? --------------------------------------------------------------------------------------

    async def _unless_blind(self, spec: CheckSpec, result: CheckResult) -> CheckResult:
        """The result, or UNKNOWN when the prober's own network is what failed."""
        if result.ok or result.unknown or not selftest.may_be_ours(spec, result.reason):
            return result
        async with self._testing:
            if self._clock.now_ms() - self._tested_ms >= selftest.FRESH_MS:
                await self._test_ourselves(spec)
        if not self._blind:
            return result
        text = f"{self._blind} (this check said: {result.message})"
        return replace(result, unknown=True, reason=CheckReason.BLIND, message=text)

    async def _test_ourselves(self, failing: CheckSpec) -> None:
        # One that takes its time also on good days would fail the short self-test by itself.
        light = (p for p in self._plan.values() if p.check is not None and p.check.light and p.good_ms * 2 <= selftest.TIMEOUT_MS)
        others = [(planned.spec, planned.status) for planned in light]
        asked = [self._plan[check_id] for check_id in selftest.references(failing, others)]
        outcomes = await asyncio.gather(
            *(
                _bounded(planned.check, Io(self._network, Trace(), timeout_s=selftest.TIMEOUT_MS / 1000), selftest.TIMEOUT_MS)
                for planned in asked
                if planned.check is not None
            )
        )
        was, self._blind = self._blind, selftest.verdict(outcomes)
        self._tested_ms = self._clock.now_ms()
        selftest.self_tests_total.inc("blind" if self._blind else "sees")
        selftest.blind_gauge.set(1.0 if self._blind else 0.0, self._location)
        if bool(was) != bool(self._blind):
            log.warning(
                "the prober's own network " + ("fails: checks are unknown" if self._blind else "is back"), reason=self._blind
            )

    def _sees(self, result: CheckResult) -> None:
        """Any good answer from elsewhere ends blindness."""
        if self._blind and result.ok:
            self._blind = ""
            selftest.blind_gauge.set(0.0, self._location)
            log.warning("the prober's own network is back")


def _tell(trace: Trace, follow: Follow) -> None:
    follow(trace.doing, tuple(trace.phases))


def _timeout_ms(planned: _Planned, check: Check, attempt: int) -> int:
    """The check's own timeout; a re-check's is shorter, for an early verdict, but never shorter than what good runs took."""
    if attempt == 1:
        return planned.spec.timeout_ms
    enough_ms = max(RECHECK_TIMEOUT_MS, check.default_timeout_ms // 2, round(planned.good_ms * 2))
    return min(planned.spec.timeout_ms, enough_ms)


async def _bounded(check: Check, io: Io, timeout_ms: int) -> Outcome:
    """Run a check; whatever happens becomes an outcome, within the timeout."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await check.run(io)
    except TimeoutError as error:
        if not isinstance(error.__cause__, asyncio.CancelledError) and error.errno is not None:
            return outcome_of(error)  # the kernel's own ETIMEDOUT
        text = f"no answer within {human_duration(timeout_ms)} (while {io.trace.doing})"
        return failed(CheckReason.TIMEOUT, text)
    except Exception as error:  # the supervisor of checks: a faulty check must not end the prober
        return outcome_of(error)
