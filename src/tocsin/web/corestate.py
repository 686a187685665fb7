"""What only the core knows at runtime, asked for by command and kept until it says that it changed.

What each command must answer (unknown further keys are fine, missing ones read as empty):

    check.list     [ CheckSpec's fields + CheckStatus's fields ], labels as object; a change with a subject is one check's state
    config.state   {files, problems: [{place, path, message, warning}], loaded_ms, ok, yaml (redacted), nobody_paged,
                    severities, external_url, services: {name: {owner, tier, runbook, repository, depends_on}},
                    slos: [report.plan.Slo's fields],
                    status_pages: {slug: {title, components, maintenance}} (app/statuspages.py)}
    rules.state    the data of Prometheus's /api/v1/rules; what only we know stands under `tocsin`
    targets.state  the data of Prometheus's /api/v1/targets, plus `last_ms` and `samples` per target
    oncall.state   {schedules: [{schedule, who, until_ms, ...}], policies, people}
    status.brief   {host, started_ms, last_evaluation_ms, last_sample_ms, store: {unwritten}}
    status         the same and {processes, collectors, metrics, ...}: dear where much is watched
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tocsin.bus.wire import Change
from tocsin.errors import CommandError
from tocsin.web.parts import WebParts

# How long an answer may be used when nothing was said to have changed, and which topics end it at once.
_FRESH_MS = {
    "check.list": (30_000, {"checks", "config"}),
    "config.state": (30_000, {"config"}),
    "rules.state": (2_000, {"alerts", "config"}),
    "targets.state": (5_000, {"targets", "config"}),
    "oncall.state": (30_000, {"config", "incidents"}),
    "status.brief": (2_000, set()),
    "status": (2_000, set()),
}


_PATIENCE_S = 5.0
"""So long a page waits for a core that does not answer, when there is an older answer."""


@dataclass(slots=True)
class _Kept:
    answer: Any
    asked_ms: int
    moved: bool = False
    """The state of one check or alert changed since; what there is is still the same."""


@dataclass(slots=True)
class _Asking:
    task: asyncio.Task[Any]
    since_s: float


class CoreState:
    """Cached views of the core. One question at a time per command: a hundred browsers ask the core once."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, _Asking] = {}
        self._outdated: set[str] = set()
        self._moved: set[str] = set()

    def changed(self, change: Change) -> None:
        """A change came in: what it touches is asked for anew next time."""
        for command, (_, topics) in _FRESH_MS.items():
            if change.topic in topics:
                only_moved = command == "check.list" and change.subject != ""
                (self._moved if only_moved else self._outdated).add(command)
                if kept := self._kept.get(command):
                    kept.moved = True
                    kept.asked_ms = kept.asked_ms if only_moved else 0

    def forget(self, command: str) -> None:
        """What this request just changed must not be answered from memory."""
        self._kept.pop(command, None)

    async def ask(self, command: str, *, moved: bool = False) -> Any:
        """The core's answer; while it is away or hangs the last answer stands in. Raises CommandError when there is none.

        `moved`: single checks may have changed their state since, for who reads states from the database.
        """
        now_ms = self._parts.clock.now_ms()
        kept = self._kept.get(command)
        if kept is not None and now_ms - kept.asked_ms < _FRESH_MS[command][0] and (moved or not kept.moved):
            return kept.answer
        asking = self._asking.get(command)
        if asking is None:
            task = asyncio.create_task(self._ask_core(command, now_ms))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits any more
            asking = self._asking[command] = _Asking(task, self._parts.clock.monotonic_s())
        try:
            async with asyncio.timeout(None if kept is None else self._patience_s()):
                return await asyncio.shield(asking.task)
        except (CommandError, TimeoutError):
            if kept is None:
                raise
            return kept.answer

    def _patience_s(self) -> float:
        """A core that hangs must not take the pages with it that say so: of all questions only the first is waited for."""
        oldest_s = min(asking.since_s for asking in self._asking.values())
        return max(0.0, oldest_s + _PATIENCE_S - self._parts.clock.monotonic_s())

    async def try_ask(self, command: str, default: Any, *, moved: bool = False) -> Any:
        """As `ask`, but the default while the core is away or does not know the command: part of a page, not its point."""
        try:
            return await self.ask(command, moved=moved)
        except CommandError:
            return default

    async def _ask_core(self, command: str, now_ms: int) -> Any:
        self._outdated.discard(command)
        self._moved.discard(command)
        try:
            answer = await self._parts.core.command(command)
            # What changed while the core was answering may not be in the answer.
            self._kept[command] = _Kept(answer, 0 if command in self._outdated else now_ms, command in self._moved)
            return answer
        finally:
            self._asking.pop(command, None)
