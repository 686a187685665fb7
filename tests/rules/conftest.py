"""The rules room on virtual time: a store in memory, a real engine, a real state database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from tocsin.model.labels import Labels
from tocsin.model.series import STALE_NAN, Batch
from tocsin.promql.engine import Engine
from tocsin.rules.evaluate import Evaluator
from tocsin.rules.memory import MemoryStore
from tocsin.rules.rulefile import parse_rule_file
from tocsin.state import events, intake
from tocsin.state.schema import alert_intake, alert_states, metadata
from tocsin.state.sql import Database, sqlite_url

START_MS = 1_700_000_000_000


class SteppedClock:
    """Time that stands still until it is moved. `sleep_until_ms` returns when it was moved far enough."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.wall_ms = now_ms
        self.monotonic = 1000.0
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_s(self) -> float:
        return self.monotonic

    async def sleep_until_ms(self, t_ms: int) -> None:
        while self.wall_ms < t_ms:
            await self._moved.wait()

    def move(self, ms: int) -> None:
        """Time goes by."""
        self.wall_ms += ms
        self.monotonic += ms / 1000
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def step(self, ms: int) -> None:
        """Somebody sets the wall clock."""
        self.wall_ms += ms


@dataclass
class Room:
    """One evaluator with everything around it."""

    path: Path
    clock: SteppedClock = field(default_factory=SteppedClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    woken: int = 0
    scraping: bool = True
    """Whether `move` keeps `up` of job "app" going."""
    up: float = 1.0

    def __post_init__(self) -> None:
        self.db = Database(sqlite_url(self.path), inline=True)
        metadata.create_all(self.db.engine)
        self.task: asyncio.Task[None] | None = None
        self.evaluator = self._evaluator()

    def _evaluator(self) -> Evaluator:
        return Evaluator(
            db=self.db,
            queryable=Engine(self.store, clock=self.clock),
            writer=self.store,
            clock=self.clock,
            changed=lambda topic, subject="": None,
            wake=self._wake,
            external_url="http://tocsin.test",
            external_labels=Labels({"cluster": "c1"}),
            reader=self.store,
            inline=True,
        )

    def _wake(self) -> None:
        self.woken += 1

    def rules(self, text: str) -> None:
        groups, problems = parse_rule_file(text, "rules.yml", default_interval_ms=15_000)
        assert not problems, problems
        self.evaluator.apply(groups)

    def put(self, value: float, name: str = "x", **labels: str) -> None:
        """One sample now."""
        series = Labels({"__name__": name, "job": "app", "instance": "a", **labels})
        self.store.append(Batch([series], np.array([self.clock.wall_ms]), np.array([value])))

    def end(self, name: str = "x", **labels: str) -> None:
        self.put(STALE_NAN, name, **labels)

    async def start(self) -> None:
        self.task = asyncio.create_task(self.evaluator.run())
        await self.settle()

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def crash(self) -> None:
        """The process dies; a new one opens the same database."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        self.evaluator = self._evaluator()

    async def play(self, seconds: float, **samples: float) -> None:
        """Time goes by in steps of 5 s; samples (by metric name) and `up` arrive every 15 s."""
        for i in range(int(seconds // 5)):
            self.clock.move(5000)
            if i % 3 == 0:
                if self.scraping:
                    self.put(self.up, "up")
                for name, value in samples.items():
                    self.put(value, name)
            await self.settle()

    def told(self) -> list[str]:
        """What reached the dispatcher's intake: `A fired`, `A resolved`."""
        with self.db.engine.begin() as tx:
            taken = intake.take(tx)
        return [f"{alert.labels.get('alertname')} {'resolved' if alert.ends_at_ms else 'fired'}" for alert, _ in taken]

    def phases(self) -> dict[str, str]:
        with self.db.engine.begin() as tx:
            rows = tx.execute(sa.select(alert_states.c.labels, alert_states.c.phase)).all()
        return {row.labels["alertname"]: row.phase for row in rows}

    def states(self) -> list[dict[str, Any]]:
        """What the API shows of every alert."""
        found: list[dict[str, Any]] = self.evaluator.state()["alerts"]
        return found

    def timeline(self) -> list[str]:
        with self.db.engine.begin() as tx:
            return [event.text for event in events.read(tx)]

    async def restart(self) -> None:
        """The process dies and is back at once with the same rules."""
        groups = tuple(scheduled.run.group for scheduled in self.evaluator._groups.values())
        await self.crash()
        self.evaluator.apply(groups)
        await self.start()

    def waiting(self) -> int:
        with self.db.engine.begin() as tx:
            return int(tx.execute(sa.select(sa.func.count()).select_from(alert_intake)).scalar() or 0)


@pytest.fixture
async def room(tmp_path: Path) -> Iterator[Room]:
    built = Room(tmp_path / "state.db")
    yield built
    await built.crash()
    built.db.close()
