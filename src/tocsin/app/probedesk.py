"""Where probes get their work from the core: the plan of a location, and runs that somebody asked for now."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tocsin.errors import CommandError
from tocsin.model.check import CheckResult, CheckSpec

_LONG_POLL_S = 20.0
_RUN_DEADLINE_S = 90.0
_MOST_LOCATIONS = 1_000


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
        self._waiting: dict[str, asyncio.Future[CheckResult]] = {}
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
        spec = next((spec for spec in self._specs if spec.id == check_id), None)
        if spec is None:
            raise CommandError(404, "unknown_check", f"there is no check {check_id!r}")
        self._next_run += 1
        # Unique over restarts: people look a run up by it.
        run_id = f"run-{self._first_version:x}-{self._next_run}"
        future: asyncio.Future[CheckResult] = asyncio.get_running_loop().create_future()
        self._waiting[run_id] = future
        here = self._locations[spec.locations[0]]
        here.runs.append((run_id, check_id, person))
        here.wake.set()
        try:
            return await asyncio.wait_for(future, _RUN_DEADLINE_S)
        except TimeoutError:
            raise CommandError(504, "probe_away", f"no probe at {spec.locations[0]} ran the check in time") from None
        finally:
            self._waiting.pop(run_id, None)

    def finished(self, result: CheckResult) -> None:
        """A probe reports; if it is a run that somebody waits for, he gets it."""
        future = self._waiting.get(str(result.facts.get("run_id", "")))
        if future is not None and not future.done():
            future.set_result(result)
