"""The probe process: runs checks, measures, reports; nothing else disturbs its loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tocsin.app.metricspush import push_metrics
from tocsin.app.pulse import Pulse
from tocsin.app.settings import ServeSettings
from tocsin.app.supervise import supervise
from tocsin.app.values import result_to_json, spec_from_json
from tocsin.bus.client import CoreClient
from tocsin.clock import Clock, SystemClock
from tocsin.collect.network import Network
from tocsin.collect.probe import Prober
from tocsin.collect.reporting import Report
from tocsin.errors import CommandError
from tocsin.log import get_log
from tocsin.model.check import CheckResult, Phase
from tocsin.model.egress import EgressRules, parse_networks
from tocsin.random import SystemRandom

log = get_log("probe")

LOCAL = "local"
_RETRY_S = 0.5
_REFUSED_S = 10.0
"""A token that is refused now is hardly good in half a second."""
_NEVER_TAKEN = (400, 413, 422)


class PlanningCore(Protocol):
    """The core, over its socket or over the network. Raises CommandError."""

    async def command(self, name: str, args: Mapping[str, Any] | None = None) -> Any: ...


async def follow_plan(
    core: PlanningCore, prober: Prober, network: Network, running: set[asyncio.Task[object]], location: str = LOCAL
) -> None:
    """Ask the core for the plan of this place, again and again; do the runs somebody asked for."""
    version = 0
    while True:
        try:
            plan = await core.command("probe.plan", {"location": location, "version": version})
        except CommandError as error:
            log.info("no plan from the core", error=str(error))
            await asyncio.sleep(_REFUSED_S if error.status in (401, 403) else _RETRY_S)
            continue
        if plan["specs"] is not None:
            network.egress = EgressRules(
                parse_networks(tuple(plan["egress"]["allow"])), parse_networks(tuple(plan["egress"]["deny"]))
            )
            prober.apply([spec_from_json(raw) for raw in plan["specs"]])
            gc.collect()
            gc.freeze()  # looking through thousands of checks again and again would stop the measuring loop for 50 ms each time
        version = plan["version"]
        for run_id, check_id, person in plan["runs"]:
            task: asyncio.Task[object] = asyncio.create_task(_run_now(core, prober, location, run_id, check_id, person))
            running.add(task)
            task.add_done_callback(running.discard)


async def _run_now(core: PlanningCore, prober: Prober, location: str, run_id: str, check_id: str, person: str) -> None:
    """One run that somebody waits for; what it is doing is told while it goes on."""
    progress = Progress(core, location, run_id)
    teller = asyncio.create_task(progress.run())
    try:
        await prober.run_now(check_id, run_id, by=person, follow=progress.follow)
    finally:
        teller.cancel()


class Progress:
    """Tells the core what a run is doing: the latest only, one message at a time. That it fails is no loss, the result comes."""

    def __init__(self, core: PlanningCore, location: str, run_id: str) -> None:
        self._core, self._about = core, {"location": location, "run_id": run_id}
        self._latest: dict[str, Any] = {}
        self._news = asyncio.Event()

    def follow(self, doing: str, phases: Sequence[Phase]) -> None:
        self._latest = {"doing": doing, "phases": [{"name": phase.name, "ms": phase.ms} for phase in phases]}
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            with contextlib.suppress(CommandError):
                await self._core.command("probe.progress", {**self._about, **self._latest})


def reporting(core: PlanningCore, location: str, clock: Clock, session: str) -> Report:
    """How results get to the core; those that it will never take are given up, or they would stop all after them.

    The reporter brings the same batch until it gets through, and then another: each batch has one number, so that the core
    knows a batch again whose answer was lost.
    """
    number, last = 0, None

    async def report(results: Sequence[CheckResult]) -> None:
        nonlocal number, last
        if results is not last:
            number, last = number + 1, results
        report_id = {"session": session, "number": number, "sent_ms": clock.now_ms()}
        rows = [result_to_json(result) for result in results]
        try:
            await core.command("probe.report", {"location": location, "results": rows, **report_id})
        except CommandError as error:
            if error.status in _NEVER_TAKEN:
                log.error("the core refuses these results; they are given up", results=len(results), error=str(error))
                return
            raise OSError(str(error)) from None  # they wait in the prober until the core is back

    return report


async def run_probe(settings: ServeSettings, pulse: Pulse, _listener: socket.socket) -> None:
    """Run until SIGTERM."""
    core = CoreClient(settings.core_socket, timeout_s=40)
    clock = SystemClock()

    network = Network(clock=clock)
    random = SystemRandom()
    report = reporting(core, LOCAL, clock, random.randbytes(16).hex())
    prober = Prober(clock=clock, random=random, io=network, report=report, location=LOCAL)
    running: set[asyncio.Task[object]] = set()
    tasks = [
        asyncio.create_task(supervise("prober", prober.run)),
        asyncio.create_task(supervise("plan", lambda: follow_plan(core, prober, network, running))),
        asyncio.create_task(supervise("metrics", lambda: push_metrics(core, "probe", pulse.restarts))),
    ]
    pulse.ready()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the parent decides
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await core.close()
