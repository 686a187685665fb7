"""Where probes get their work from the core: the plan of a location, and runs that somebody asked for now."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.errors import CommandError
from tocsin.model.check import CheckResult, CheckSpec

_LONG_POLL_S = 20.0
_RUN_DEADLINE_S = 90.0
_MOST_LOCATIONS = 1_000


@dataclass
class _Run:
    """A run that somebody waits for, as far as its place has told."""

    location: str
    doing: str = ""
    phases: Sequence[Mapping[str, Any]] = ()
    result: CheckResult | None = None
    seen: int = 0
    """Grows with everything that is told."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self) -> None:
        self.seen += 1
        self.news.set()


@dataclass
class _Location:
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    runs: list[tuple[str, str, str]] = field(default_factory=list)
    """(run id, check id, person)."""


class ProbeDesk:
    """Plans are versioned; a probe asks with the version it has and waits until there is another, or a run to do."""

    def __init__(self, *, first_version: int) -> None:
        self._specs: tuple[CheckSpec, ...] = ()
        self._egress: dict[str, tuple[str, ...]] = {"allow": (), "deny": ()}
        # Starts where no former core's count can be: a probe that knows an old plan must not think it current.
        self._version = self._first_version = first_version
        self._locations: dict[str, _Location] = defaultdict(_Location)
        self._running: dict[str, _Run] = {}
        self._next_run = 0

    def apply(self, specs: Iterable[CheckSpec], *, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> None:
        """A new plan, and where checks may connect to."""
        self._specs = tuple(specs)
        self._egress = {"allow": allow, "deny": deny}
        self._version += 1
        for location in self._locations.values():
            location.wake.set()

    def close(self) -> None:
        """Let go of every probe that waits for a new plan: the core stops."""
        for location in self._locations.values():
            location.wake.set()

    async def plan(self, location: str, version: int) -> dict[str, object]:
        """-> {version, specs (None when unchanged), egress, runs}; answers at once or within 20 s."""
        if location not in self._locations and len(self._locations) >= _MOST_LOCATIONS:
            raise CommandError(429, "many_locations", f"more than {_MOST_LOCATIONS} places asked for a plan since the start")
        here = self._locations[location]
        if version == self._version and not here.runs:
            here.wake.clear()
            try:
                await asyncio.wait_for(here.wake.wait(), _LONG_POLL_S)
            except TimeoutError:
                pass
        runs, here.runs = here.runs, []
        specs = None if version == self._version else [spec for spec in self._specs if location in spec.locations]
        return {"version": self._version, "specs": specs, "egress": self._egress, "runs": runs}

    async def run(self, check_id: str, person: str) -> CheckResult:
        """Have a check run now by its first location. Raises CommandError 404 (unknown) or 504 (no probe answers)."""
        run_id, seen = self.begin(check_id, person), -1
        while True:
            told = await self.follow(run_id, seen)
            if (result := told["result"]) is not None:
                assert isinstance(result, CheckResult)
                return result
            seen = told["seen"]

    def begin(self, check_id: str, person: str) -> str:
        """Have a check run now; returns the run's id, by which it is followed. Raises CommandError 404 (unknown)."""
        spec = next((spec for spec in self._specs if spec.id == check_id), None)
        if spec is None:
            raise CommandError(404, "unknown_check", f"there is no check {check_id!r}")
        self._next_run += 1
        # Unique over restarts: people look a run up by it.
        run_id = f"run-{self._first_version:x}-{self._next_run}"
        location = spec.locations[0]
        self._running[run_id] = _Run(location, doing=f"waiting for the probe at {location}")
        here = self._locations[location]
        here.runs.append((run_id, check_id, person))
        here.wake.set()
        # Whoever began it may be gone: a run is not kept for ever.
        asyncio.get_running_loop().call_later(_RUN_DEADLINE_S, self._over, run_id)
        return run_id

    def _over(self, run_id: str) -> None:
        if run := self._running.pop(run_id, None):
            run.news.set()

    async def follow(self, run_id: str, seen: int) -> dict[str, Any]:
        """What the run is doing: {location, doing, phases, seen, result}, as soon as there is more than `seen`.

        Raises CommandError 504 when it is over without a result, or was never begun.
        """
        while (run := self._running.get(run_id)) is not None:
            if run.seen > seen:
                answer = {"location": run.location, "doing": run.doing, "phases": run.phases, "seen": run.seen}
                return {**answer, "result": run.result}
            run.news.clear()
            await run.news.wait()
        raise CommandError(504, "probe_away", f"no probe ran the check within {_RUN_DEADLINE_S:g} s")

    def progress(self, location: str, run_id: str, doing: str, phases: Sequence[Mapping[str, Any]]) -> None:
        """A probe tells what it is doing. What is not a run of its own place is not heard."""
        run = self._running.get(run_id)
        if run is None or run.location != location or run.result is not None:
            return
        run.doing, run.phases = doing[:200], [{"name": str(one["name"])[:40], "ms": float(one["ms"])} for one in phases[:50]]
        run.told()

    def finished(self, result: CheckResult) -> None:
        """A probe reports; if it is a run that somebody waits for, he gets it."""
        if run := self._running.get(str(result.facts.get("run_id", ""))):
            run.result = result
            run.told()
