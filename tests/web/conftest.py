"""A whole web application over a real state database and store; only the socket to the core is replaced by direct calls."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import pytest
import sqlalchemy as sa
from tests.fakes.ports import SeededRandom

from tocsin.alerts.route import default_routing
from tocsin.bus.wire import Change, IngestAnswer, IngestRequest
from tocsin.errors import CommandError
from tocsin.formats.routing_json import routing_to_json
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.promql.engine import Engine
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, sqlite_url
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings
from tocsin.web.commands import commands
from tocsin.web.gate import Gate
from tocsin.web.parts import WebParts, WebSettings
from tocsin.web.server import create_app

START_MS = 1_700_000_000_000


class StillClock:
    """Time that moves only when a test says so."""

    def __init__(self, t_ms: int = START_MS) -> None:
        self.t_ms = t_ms

    def now_ms(self) -> int:
        return self.t_ms

    def monotonic_s(self) -> float:
        return self.t_ms / 1000

    async def sleep_until_ms(self, t_ms: int) -> None:
        self.t_ms = max(self.t_ms, t_ms)


class DirectCore:
    """The core as the web sees it: account commands are the real ones, state commands answer what the test sets."""

    def __init__(self, db: Database, clock: StillClock, rng: SeededRandom) -> None:
        self.answers: dict[str, Any] = {
            "check.list": [],
            "config.state": {"files": [], "problems": [], "yaml": "checks: []\n", "loaded_ms": 1, "nobody_paged": True},
            "rules.state": {"groups": [], "alerts": []},
            "targets.state": {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}},
            "oncall.state": {"schedules": [], "policies": [], "people": []},
            "status": {"started_ms": START_MS - 1000, "last_evaluation_ms": START_MS, "last_sample_ms": START_MS},
            "status.brief": {"started_ms": START_MS - 1000, "last_evaluation_ms": START_MS, "last_sample_ms": START_MS},
            "config.reload": {"ok": True, "problems": []},
            "process.exposition": "",
            "alerts.routing": {"version": 1, "routing": routing_to_json(default_routing())},
        }
        self.seen: list[tuple[str, Mapping[str, Any], Actor]] = []
        self.ingested: list[tuple[str, IngestRequest]] = []
        self.stream: asyncio.Queue[Change | None] = asyncio.Queue()
        self._handlers = commands(db, clock, rng)

    async def command(
        self, name: str, args: Mapping[str, Any] | None = None, actor: Actor = SYSTEM, *, timeout_s: float | None = None
    ) -> Any:
        self.seen.append((name, dict(args or {}), actor))
        if name in self._handlers:
            return await self._handlers[name](dict(args or {}), actor)
        if name in self.answers:
            answer = self.answers[name]
            return answer(dict(args or {}), actor) if callable(answer) else answer
        raise CommandError(404, "unknown_command", f"no such command: {name}")

    async def ingest(self, kind: str, request: IngestRequest) -> IngestAnswer:
        self.ingested.append((kind, request))
        return IngestAnswer(204)

    async def changes(self, after: int = 0) -> AsyncIterator[Change | None]:
        while (change := await self.stream.get()) is not None:
            yield change

    def commanded(self, name: str) -> list[Mapping[str, Any]]:
        return [args for seen, args, _ in self.seen if seen == name]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")  # pictures, too

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Client:
    """Speaks ASGI to the application. `address` is the peer's."""

    app: Gate
    headers: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    host: str = "127.0.0.1:8911"

    async def get(self, path: str, **kwargs: Any) -> Answer:
        return await self.request("GET", path, **kwargs)

    async def post(self, path: str, **kwargs: Any) -> Answer:
        return await self.request("POST", path, **kwargs)

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        json: Any = None,
        form: Mapping[str, str] | list[tuple[str, str]] | None = None,
        query: Mapping[str, str] | list[tuple[str, str]] | None = None,
        pieces: list[bytes] | None = None,
    ) -> Answer:
        sent = {"host": self.host, **self.headers, **(headers or {})}
        if json is not None:
            body, sent["content-type"] = orjson.dumps(json), "application/json"
        if form is not None:
            body, sent["content-type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        plain, _, text = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": plain,
            "raw_path": plain.encode(),
            "root_path": "",
            "query_string": (urlencode(query) if query is not None else text).encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "client": (self.address, 50000),
            "server": ("127.0.0.1", 8911),
            "state": {},
        }
        incoming = [
            {"type": "http.request", "body": piece, "more_body": True} for piece in (pieces if pieces is not None else [body])
        ]
        incoming[-1]["more_body"] = False
        answer = Answer(0, {}, b"")
        never = asyncio.Event()

        async def receive() -> Any:
            if not incoming:
                await never.wait()
            return incoming.pop(0)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer

    def using(self, token: str) -> Client:
        return Client(self.app, {**self.headers, "authorization": f"Bearer {token}"}, self.address, self.host)


@dataclass
class House:
    """Everything a test may want to touch."""

    parts: WebParts
    core: DirectCore
    db: Database
    store: Store
    clock: StillClock
    client: Client

    async def token(self, role: str) -> str:
        place = {"place": "paris"} if role == "probe" else {}
        made = await self.core.command("token.create", {"name": role, "role": role, **place}, Actor("cli", "root"))
        return str(made["token"])

    async def as_role(self, role: str) -> Client:
        return self.client.using(await self.token(role))

    def add(self, series: Mapping[str, Any], *, step_ms: int = 15_000, end_ms: int = START_MS) -> None:
        """Samples by series text (as a label mapping in Python) ending at `end_ms`."""
        for text, values in series.items():
            labels = Labels(eval(f"dict({text})"))
            t_ms = np.array([end_ms - step_ms * i for i in reversed(range(len(values)))], np.int64)
            self.store.append(Batch([labels] * len(values), t_ms, np.array(values, np.float64)))


@pytest.fixture
def settings() -> WebSettings:
    return WebSettings()


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state database with its tables, made once and copied."""
    path = tmp_path_factory.mktemp("state") / "state.db"
    db = Database(sqlite_url(path), inline=True)
    metadata.create_all(db.engine)
    db.close()
    return path


@pytest.fixture
def house(tmp_path: Path, empty_state: Path, settings: WebSettings) -> Iterator[House]:
    settings = dataclasses.replace(settings, password_memory_kib=64, password_passes=1)
    clock, rng = StillClock(), SeededRandom()
    path = tmp_path / "state.db"
    shutil.copy(empty_state, path)
    db = Database(sqlite_url(path), inline=True)
    sa.event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    store = Store(path=tmp_path / "store", settings=StoreSettings(), clock=clock)
    store.open()
    core = DirectCore(db, clock, rng)
    parts = WebParts(
        core=core,
        database=Database(sqlite_url(path), read_only=True, inline=True),
        reader=store,
        engine=Engine(store, clock=clock),
        clock=clock,
        random=rng,
        settings=settings,
        static=tmp_path / "no-ui",
        started_ms=START_MS,
    )
    app = create_app(parts)
    yield House(parts, core, db, store, clock, Client(app))
    store.close()
    parts.database.close()
    db.close()
