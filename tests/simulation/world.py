"""A whole life of the alert path on virtual time: dispatcher, escalator and deliverer over one database that survives crashes.

The world ends at the n-th point (a statement, a commit, a request) and begins again from what the database holds; providers
fail, lose answers and hang by the seed. Nothing here is random but through `Random(seed)`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from tests.fakes.house import HOOK_URL, directory, person, policy
from tests.fakes.ports import SeededRandom
from tests.fakes.virtual import VirtualClock

from tocsin.alerts.dispatch import Dispatcher
from tocsin.errors import CommandError
from tocsin.incidents.escalate import Escalator
from tocsin.model.alert import Alert
from tocsin.model.event import Actor
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.ports import HttpError, HttpResponse, SmtpAnswer
from tocsin.model.route import Destination, Receiver, Route, Routing, Silence
from tocsin.notify.deliver import Deliverer
from tocsin.notify.settings import ChannelSettings
from tocsin.state import intake
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, Work

MINUTE = 60.0


class Crash(BaseException):
    """The process dies here; everything not committed is gone."""


@dataclass
class Points:
    """Places where a life can end. `visited` and `crashed` count them by name."""

    left: int = -1
    dead: bool = False
    visited: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)

    def __call__(self, name: str) -> None:
        if self.dead:
            raise Crash(name)
        self.visited[name] += 1
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.dead = True
                self.crashed[name] += 1
                raise Crash(name)


class MortalDatabase(Database):
    """A database in which every statement and commit is a point where the process may die."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__(f"sqlite:///{path}", inline=True)
        self._points = points
        self._writing = False

        @sa.event.listens_for(self.engine, "before_cursor_execute")
        def _statement(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if self._writing:
                points("sql " + " ".join(statement.split()[:3]))

    def write_now(self, work: Work[Any]) -> Any:
        self._points("begin")
        with self.engine.connect() as connection:
            transaction = connection.begin()
            self._writing = True
            try:
                result = work(connection)
                self._points("before commit")
            except BaseException:
                transaction.rollback()
                raise
            finally:
                self._writing = False
            transaction.commit()
        self._points("after commit")
        return result


@dataclass
class Providers:
    """The outside: what really arrived, whatever Tocsin was told about it."""

    points: Points
    chance: random.Random
    trouble: float = 0.25
    """Share of requests that go wrong."""
    hooks: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    """(virtual time, delivery id, body) in order of arrival."""
    mails: list[tuple[float, str, str, str]] = field(default_factory=list)
    """(virtual time, Message-ID, recipient, kind)."""
    down_until_s: float = 0.0

    def _act(self) -> str:
        now_s = asyncio.get_running_loop().time()
        if now_s < self.down_until_s:
            return "refused"
        if self.chance.random() >= self.trouble:
            return "ok"
        act = self.chance.choice(("500", "429", "refused", "hang", "lost", "400", "outage"))
        if act == "outage":
            self.down_until_s = now_s + self.chance.uniform(10, 240)
            return "refused"
        return act

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", timeout_s: float = 10.0
    ) -> HttpResponse:
        self.points("before send")
        await asyncio.sleep(self.chance.uniform(0.01, 0.5))
        self.points("request under way")
        act = self._act()
        if act == "refused":
            raise HttpError("connection refused", sent=False)
        if act == "hang":
            await asyncio.sleep(timeout_s)
            raise HttpError("timeout", sent=True)
        if act == "500":
            return HttpResponse(500, {}, b"")
        if act == "429":
            return HttpResponse(429, {"retry-after": str(self.chance.randint(1, 30))}, b"")
        if act == "400" and self.chance.random() < 0.1:
            return HttpResponse(400, {}, b"")
        delivery = (headers or {})["X-Tocsin-Delivery"]
        self.hooks.append((asyncio.get_running_loop().time(), delivery, orjson.loads(body)))
        if act == "lost":
            raise HttpError("connection reset", sent=True)
        self.points("arrived")
        await asyncio.sleep(0.01)
        self.points("answered")
        return HttpResponse(200, {}, b"")

    async def send(
        self, *, host: str, port: int, security: str, username: str, password: str, sender: str, recipient: str,
        message: bytes, timeout_s: float = 20.0,
    ) -> SmtpAnswer:  # fmt: skip
        self.points("before mail")
        await asyncio.sleep(self.chance.uniform(0.01, 0.5))
        act = self._act()
        if act in ("refused", "429"):
            return SmtpAnswer(0, "connection refused", False)
        if act in ("500", "hang"):
            return SmtpAnswer(451, "try later", False)
        if act == "400" and self.chance.random() < 0.6:
            return SmtpAnswer(550, "no such user", False)
        mail = message_from_bytes(message)
        id_ = str(mail["Message-ID"])
        self.mails.append((asyncio.get_running_loop().time(), id_, recipient, str(mail["X-Tocsin-Kind"])))
        if act == "lost":
            return SmtpAnswer(0, "connection lost", True)
        self.points("mail arrived")
        return SmtpAnswer(250, "queued", True)


GROUPS, INSTANCES = 3, 3
ROOT = Route("0", "web", group_by=("alertname",), group_wait_ms=5_000, group_interval_ms=20_000, repeat_interval_ms=3_600_000)


@dataclass
class World:
    """One seed's world. `run()` lives it; `check.py` judges it."""

    seed: int
    path: Path
    transitions_wanted: int = 50
    lives: int = 6
    trouble: float = 0.25

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.points = Points()
        self.clock = VirtualClock()
        self.providers = Providers(self.points, random.Random(self.seed + 1), self.trouble)
        self.people = directory(
            person("ana"),
            person("ben"),
            policy=policy(["ana"], ["ben"], delay_ms=60_000, repeat=1),
            destinations=(Destination("webhook", {"url": HOOK_URL}),),
        )
        self.truth: dict[str, Alert] = {}
        """fingerprint -> the alert as last committed to the intake."""
        self.transitions = 0
        self.acks: list[tuple[int, int]] = []
        """(incident, ms) of acknowledgements confirmed to a person."""
        self._new_database = True
        self.life = 0

    # -- a life --

    def _build(self) -> None:
        self.db = MortalDatabase(self.path, self.points)
        if self._new_database:
            metadata.create_all(self.db.engine)
            self._new_database = False
        receivers = self.people.receivers
        randomness = SeededRandom(self.seed * 1000 + self.life)
        settings = ChannelSettings(
            {"email": {"smarthost": "mail:25"}}, self.people.persons, receivers, "https://t.example", "t.example"
        )

        def changed(topic: str, subject: str = "") -> None:
            return None

        self.escalator = Escalator(
            db=self.db, clock=self.clock, changed=changed, wake_notify=lambda: self.deliverer.wake(), random=randomness,
            directory=self.people,
        )  # fmt: skip
        self.deliverer = Deliverer(
            db=self.db, clock=self.clock, http=self.providers, smtp=self.providers, random=randomness, changed=changed,
            undelivered=self.escalator.undelivered, settings=settings,
        )  # fmt: skip
        counter = iter(range(10**9))
        self.dispatcher = Dispatcher(
            db=self.db, sink=self.escalator.receive_page, clock=self.clock, changed=changed,
            wake_incidents=self.escalator.wake, new_id=lambda: f"{self.life:08x}-0000-4000-8000-{next(counter):012x}",
        )  # fmt: skip
        self.dispatcher.apply(Routing(ROOT, {name: Receiver(name) for name in receivers}))

    async def _live(self, script: Callable[[], Any]) -> bool:
        """Run the stages and `script` until it ends (True) or the process dies (False)."""
        self.points.dead = False
        self._build()
        stages = [self.dispatcher.run(), self.escalator.run(), self.deliverer.run()]
        tasks = [asyncio.create_task(stage) for stage in stages]
        work = asyncio.create_task(script())
        await asyncio.wait([*tasks, work], return_when=asyncio.FIRST_COMPLETED)
        died = self.points.dead
        finished = work.done() and not died
        self.points.dead = True
        for task in [*tasks, work]:
            task.cancel()
        results = await asyncio.gather(*tasks, work, return_exceptions=True)
        self.db.engine.dispose()
        for result in results:
            if isinstance(result, BaseException) and not died and not _ended_by_us(result):
                raise result
        return finished

    # -- the script --

    async def run(self) -> None:
        """Trouble and crashes, then calm with alerts firing, then everything recovers."""
        for life in range(self.lives):
            self.life = life
            self.points.left = self.chance.randint(20, 900)
            await self._live(self._trouble)
            await asyncio.sleep(self.chance.choice((0.5, 2.0, 45.0)))
        self.points.left = -1
        self.life = self.lives
        while not await self._live(self._until_enough):
            pass
        self.providers.trouble = 0.0
        self.life += 1
        await self._live(self._calm)

    async def _trouble(self) -> None:
        for _ in range(60):
            await asyncio.sleep(self.chance.expovariate(1 / 12))
            await self._something()

    async def _until_enough(self) -> None:
        while self.transitions < self.transitions_wanted:
            await asyncio.sleep(self.chance.expovariate(1 / 6))
            await self._something()

    async def _something(self) -> None:
        dice = self.chance.random()
        if dice < 0.78:
            await self._flip()
        elif dice < 0.92:
            await self._command()
        else:
            await self._silence()

    async def _flip(self, *, only: str = "") -> None:
        """One alert starts or stops; the truth changes when the intake has committed."""
        name, instance = self.chance.randrange(GROUPS), self.chance.randrange(INSTANCES)
        labels = Labels({"alertname": f"A{name}", "instance": f"i{instance}", "severity": "critical", "service": "web"})
        key = labels.fingerprint_hex()
        now_ms = self.clock.now_ms()
        known = self.truth.get(key)
        firing = known is not None and known.ends_at_ms == 0
        if only and only != ("end" if firing else "start"):
            return
        alert = Alert(labels, {}, known.starts_at_ms if firing and known else now_ms, now_ms if firing else 0, now_ms)

        def work(tx: Connection) -> None:
            intake.put(tx, [alert], now_ms=now_ms)

        try:
            await self.db.write(work)
        except Crash:
            # Committed or not is known to the database only: ask it when it is back.
            self._recall(key, alert, now_ms)
            raise
        self.truth[key] = alert
        self.transitions += 1
        self.dispatcher.wake()

    def _recall(self, key: str, alert: Alert, now_ms: int) -> None:
        if not self.points.crashed or self.points.visited["after commit"] == 0:
            return
        engine = sa.create_engine(f"sqlite:///{self.path}")
        with engine.connect() as connection:
            query = sa.text("select count(*) from alert_intake where fingerprint=:f and received_ms=:r")
            if connection.execute(query, {"f": key, "r": now_ms}).scalar():
                self.truth[key] = alert
                self.transitions += 1
        engine.dispose()

    async def _command(self) -> None:
        query = sa.text("select number from incidents where state in ('triggered','acknowledged') order by number")
        numbers = [row[0] for row in self.db.read_now(lambda tx: tx.execute(query).all())]
        if not numbers:
            return
        number = self.chance.choice(numbers)
        name = self.chance.choice(("acknowledge", "acknowledge", "unacknowledge", "escalate", "snooze"))
        args = {"number": number, "until_ms": self.clock.now_ms() + 60_000}
        try:
            row = await self.escalator.command(name, args, Actor("user", "ana", "ui"))
        except CommandError:
            return
        if name == "acknowledge" and row["state"] == "acknowledged":
            self.acks.append((row["number"], self.clock.now_ms()))

    async def _silence(self) -> None:
        now_ms = self.clock.now_ms()
        matcher = Matcher("alertname", MatchOp.EQUAL, f"A{self.chance.randrange(GROUPS)}")
        silence = Silence("", (matcher,), now_ms, now_ms + self.chance.randint(10, 90) * 1000, "ana", "quiet please")
        await self.dispatcher.set_silence(silence, Actor("user", "ana"))

    async def _calm(self) -> None:
        """No more trouble: what fires must be known outside; then all recovers and that must be known, too."""
        await asyncio.sleep(8 * MINUTE)
        self.seen_in_calm = self.receiver_view()
        self.truth_in_calm = {key for key, alert in self.truth.items() if alert.ends_at_ms == 0}
        for _ in range(400):
            await self._flip(only="end")
        assert not any(alert.ends_at_ms == 0 for alert in self.truth.values())
        await asyncio.sleep(15 * MINUTE)

    # -- what the outside believes --

    def receiver_view(self) -> set[str]:
        """Fingerprints that a receiver of the webhooks believes to be firing, repeated deliveries folded."""
        firing: set[str] = set()
        seen: set[str] = set()
        for _, delivery, body in self.providers.hooks:
            if delivery in seen:
                continue
            seen.add(delivery)
            for alert in body["alerts"]:
                (firing.add if alert["status"] == "firing" else firing.discard)(alert["fingerprint"])
        return firing


def _ended_by_us(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_ended_by_us(inner) for inner in error.exceptions)
    return isinstance(error, asyncio.CancelledError | Crash)
