"""A dispatcher on virtual time with an inline database, and the words to tell stories about it."""

from __future__ import annotations

import asyncio
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tocsin.alerts.dispatch import Dispatcher
from tocsin.alerts.route import with_ids
from tocsin.formats.matchers import parse_matchers
from tocsin.model.alert import Alert, Page
from tocsin.model.labels import Labels
from tocsin.model.route import Receiver, Route, Routing, Silence
from tocsin.state import events, intake
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, sqlite_url

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class VirtualClock:
    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self.moved_ms = 0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return (self._now_ms - self.moved_ms) / 1000

    async def sleep_until_ms(self, t_ms: int) -> None:
        raise AssertionError("stories move the clock themselves")

    def set(self, now_ms: int) -> None:
        self._now_ms = now_ms


@functools.cache
def _empty_database() -> Path:
    path = Path(tempfile.mkdtemp()) / "empty.db"
    db = Database(sqlite_url(path), inline=True)
    metadata.create_all(db.engine)
    db.close()
    return path


class Story:
    """Moves time and steps the dispatcher exactly when it asked to be stepped."""

    @classmethod
    def on(cls, routing: Routing) -> Story:
        """A story in a database that needs no file of ours."""
        return cls(Path(), routing)

    def __init__(self, path: Path, routing: Routing) -> None:
        self.clock = VirtualClock()
        self.pages: list[tuple[float, Page]] = []
        self.topics: list[tuple[str, str]] = []
        self.routing = routing
        self._path = path
        self.db = self._open()
        self._ids = iter(f"00000000-0000-4000-8000-{n:012d}" for n in range(1, 10_000))
        self._next_ms = 0
        self._start()

    def _open(self) -> Database:
        if not self._path.exists():
            shutil.copy(_empty_database(), self._path)
        db = Database(sqlite_url(self._path), inline=True)

        @sa.event.listens_for(db.engine, "connect")
        def unsafe_and_fast(connection: Any, _record: Any) -> None:
            # A story survives kill -9, not a power cut; without fsync it is ten times faster.
            connection.execute("PRAGMA synchronous=OFF")

        return db

    def _start(self) -> None:
        self.dispatcher = Dispatcher(
            db=self.db,
            sink=self._sink,
            clock=self.clock,
            changed=lambda topic, subject="": self.topics.append((topic, subject)),
            new_id=lambda: next(self._ids),
        )
        self.dispatcher.apply(self.routing)

    def _sink(self, tx: Any, page: Page, now_ms: int) -> None:
        self.pages.append(((now_ms - START_MS) / 1000, page))

    def run(self, coroutine: Any) -> Any:
        result = asyncio.run(coroutine)
        self._next_ms = asyncio.run(self.dispatcher.step())
        return result

    def at(self, seconds: float) -> Story:
        """Let time pass until then, stepping whenever something is due and at least every 15 s, as the loop does."""
        target = START_MS + int(seconds * 1000)
        while True:
            now = self.clock.now_ms()
            due = min(max(self._next_ms, now + 1), now + 15_000)
            if due > target:
                break
            self.clock.set(due)
            self._next_ms = asyncio.run(self.dispatcher.step())
        self.clock.set(target)
        self._next_ms = asyncio.run(self.dispatcher.step())
        return self

    def fire(self, *, starts: float | None = None, source: str = "rule:r", **labels: str) -> Alert:
        now = self.clock.now_ms()
        start = now if starts is None else START_MS + int(starts * 1000)
        alert = Alert(Labels({"alertname": "A", **labels}), {}, start, source=source)
        self._put(alert)
        return alert

    def resolve(self, *, source: str = "rule:r", **labels: str) -> None:
        now = self.clock.now_ms()
        self._put(Alert(Labels({"alertname": "A", **labels}), {}, now, ends_at_ms=now, source=source))

    def report(self, *, ends: float, timeout: bool = False, **labels: str) -> None:
        """As an outside Prometheus does: firing until `ends` unless reported again."""
        now = self.clock.now_ms()
        alert = Alert(
            Labels({"alertname": "A", **labels}), {}, now, START_MS + int(ends * 1000), timeout=timeout, source="api:prometheus"
        )
        self._put(alert)

    def _put(self, *alerts: Alert) -> None:
        self.db.write_now(lambda tx: intake.put(tx, list(alerts), now_ms=self.clock.now_ms()))
        self._next_ms = asyncio.run(self.dispatcher.step())

    def silence(self, matchers: str, *, until: float, starts: float | None = None, id: str = "") -> str:
        silence = Silence(
            id,
            parse_matchers(matchers),
            self.clock.now_ms() if starts is None else START_MS + int(starts * 1000),
            START_MS + int(until * 1000),
            "ana",
            "because",
        )
        return str(self.run(self.dispatcher.set_silence(silence)))

    def unsilence(self, silence_id: str) -> None:
        self.run(self.dispatcher.expire_silence(silence_id))

    def apply(self, routing: Routing) -> None:
        self.routing = routing
        self.dispatcher.apply(routing)
        self._next_ms = asyncio.run(self.dispatcher.step())

    def move_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock; no time passes."""
        self.clock.moved_ms += int(seconds * 1000)
        self.clock.set(self.clock.now_ms() + int(seconds * 1000))
        self._next_ms = asyncio.run(self.dispatcher.step())

    def restart(self, *, down: float = 0) -> None:
        """kill -9 and start again `down` seconds later."""
        self.db.close()
        self.clock.set(self.clock.now_ms() + int(down * 1000))
        self.db = self._open()
        self._start()
        self._next_ms = asyncio.run(self.dispatcher.step())

    def told(self) -> list[tuple[float, str, str]]:
        """(second, reason, receiver) of every page."""
        return [(t, page.reason.name, page.receiver) for t, page in self.pages]

    def last(self) -> Page:
        return self.pages[-1][1]

    def explanation(self, **labels: str) -> str:
        from tocsin.alerts.rows import read_alerts

        fingerprint = Labels({"alertname": "A", **labels}).fingerprint_hex()
        return self.db.read_now(lambda c: read_alerts(c, [fingerprint]))[fingerprint].explanation

    def timeline(self, **labels: str) -> list[str]:
        subject = "alert:" + Labels({"alertname": "A", **labels}).fingerprint_hex()
        return [event.verb for event in self.db.read_now(lambda c: events.read(c, subject=subject))]


def routing(*children: Route, **options: Any) -> Routing:
    """A tree under a root that groups by alertname and waits 10 s, 60 s, 1 h."""
    extra = {name: options.pop(name) for name in ("inhibit_rules", "time_intervals") if name in options}
    defaults = {"group_by": ("alertname",), "group_wait_ms": 10_000, "group_interval_ms": 60_000, "repeat_interval_ms": 600_000}
    root = Route(id="", receiver="team", routes=children, **{**defaults, **options})
    names = {"team", *(child.receiver for child in children)}
    return Routing(root=with_ids(root), receivers={name: Receiver(name) for name in names}, **extra)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    told = Story(tmp_path / "state.db", routing())
    yield told
    told.db.close()


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Any]:
    """A story with a routing of its own: `tell(routing(...))`."""
    stories: list[Story] = []

    def begin(own: Routing) -> Story:
        stories.append(Story(tmp_path / f"state{len(stories)}.db", own))
        return stories[-1]

    yield begin
    for told in stories:
        told.db.close()


@pytest.fixture
def make_routing() -> Any:
    return routing
