"""The whole program in one process on virtual time: the real core and prober, a network, mail and chat that are scripts.

    def test_...(world):
        world.story(after("2m", world.site_down), after("20m", world.site_up), until="30m")
        assert world.pages("ana") == ...

Hours pass in seconds. A restart throws every object away (as `kill -9` does) and builds the core anew over the same files.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from tests.fakes.ports import FakeHttp, FakeSmtp, SeededRandom
from tests.fakes.virtual import START_MS, VirtualClock, run_virtual

from tocsin.app.core import Core
from tocsin.collect.network import ArrivalReader
from tocsin.collect.probe import Prober
from tocsin.config.load import build
from tocsin.config.sources import Sources
from tocsin.incidents.why import incident_detail, incident_rows
from tocsin.model.duration import parse_duration_ms
from tocsin.model.egress import EgressRules
from tocsin.model.event import Actor
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.ports import HttpResponse
from tocsin.model.route import Silence
from tocsin.state.sql import Database, sqlite_url
from tocsin.state.upgrade import upgrade

CONFIG = """
external_url: https://tocsin.example
shipped_rules: false
host: {enabled: false}
checks:
  - {name: shop, tcp: "10.0.0.1:443", every: 60s, labels: {service: shop}}
  - {name: search, tcp: "10.0.0.2:443", every: 60s, labels: {service: search}, alert: {severity: warning}}
global: {smtp_smarthost: "mail.example:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}
users:
  - {name: ana, email: ana@shop.example, contact: [{slack: "https://hooks.example/ana"}]}
  - {name: ben, email: ben@shop.example}
policies:
  - {name: default, repeat: 1, steps: [{notify: ana, wait: 5m}, {notify: ben, wait: 5m}]}
"""


class _Writer:
    """The end of a connection that nobody writes to."""

    class _Transport:
        def abort(self) -> None:
            pass

    transport = _Transport()

    def get_extra_info(self, _name: str) -> None:
        return None


class ScriptedNetwork:
    """Addresses in `down` refuse, addresses in `silent` never answer."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.egress = EgressRules()
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.opened: list[tuple[int, str]] = []

    async def resolve(self, host: str, *, ip: str = "any") -> list[str]:
        return [host]

    async def open(self, address: str, port: int) -> tuple[Any, Any]:
        self.opened.append((self.clock.now_ms() - START_MS, address))
        await asyncio.sleep(0.02)
        if address in self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        if address in self.silent:
            await asyncio.sleep(3600)
        reader = ArrivalReader(self.clock, limit=1 << 16)
        reader.arrived_s = self.clock.monotonic_s()
        return reader, _Writer()


@dataclass(frozen=True)
class Told:
    """One message that reached a provider."""

    at_ms: int
    who: str
    channel: str
    kind: str
    text: str


@dataclass
class World:
    folder: Path
    config: str = CONFIG
    clock: VirtualClock = field(default_factory=VirtualClock)
    http: FakeHttp = field(default_factory=FakeHttp)
    smtp: FakeSmtp = field(default_factory=FakeSmtp)

    def __post_init__(self) -> None:
        self.network = ScriptedNetwork(self.clock)
        self.http.default = HttpResponse(200, {}, b"ok")
        self.core: Core
        self._tasks: list[asyncio.Task[Any]] = []
        self._lives = 0

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._lives += 1
        db = Database(sqlite_url(self.folder / "state.db"), inline=True)
        # A killed process loses nothing that SQLite has taken; only a power failure would, and none is played here.
        sa.event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        upgrade(db.engine)
        config = build(Sources(("tocsin.yaml",), {"tocsin.yaml": self.config}))
        self.core = Core.build(
            db=db,
            store_path=self.folder / "store",
            config=config,
            clock=self.clock,
            random=SeededRandom(self._lives),
            http=self.http,
            smtp=self.smtp,
            hostname="test",
            inline=True,
        )
        self.core.store.open()
        self.core.apply(config)
        self.prober = Prober(clock=self.clock, random=SeededRandom(7), io=self.network, report=self.core.receiver.take)
        self.prober.apply(self.core.receiver.plan())
        loops = {**self.core.loops(), "probe": self.prober.run}
        for name in ("self", "scrape"):
            loops.pop(name)
        self._tasks = [asyncio.create_task(run(), name=name) for name, run in loops.items()]

    async def kill(self) -> None:
        """As `kill -9`: nothing is said goodbye to."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.core.store.close()
        self.core.db.close()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    def story(self, *acts: tuple[int, Callable[[], Any]], until: str) -> None:
        """Run the acts at their times (ms after the start), then until the end."""

        async def main() -> None:
            await self.start()
            for at_ms, act in sorted(acts, key=lambda pair: pair[0]):
                await self._until(at_ms)
                result = act()
                if isinstance(result, Coroutine):
                    await result
            await self._until(parse_duration_ms(until))
            await self.kill()

        run_virtual(main())

    async def _until(self, at_ms: int) -> None:
        target_ms = START_MS + at_ms
        while (left_ms := target_ms - (self.clock.now_ms() - self.clock.jumped_ms)) > 0:
            for task in self._tasks:
                if task.done() and not task.cancelled():
                    task.result()  # a loop that ended by an error ends the story
            await asyncio.sleep(min(left_ms / 1000, 1.0))

    # -- acts ---------------------------------------------------------------------------------------------------------

    def site_down(self, address: str = "10.0.0.1") -> None:
        self.network.down.add(address)

    def site_up(self, address: str = "10.0.0.1") -> None:
        self.network.down.discard(address)

    async def command(self, verb: str, person: str = "ana", number: int = 1, **args: Any) -> Any:
        return await self.core.escalator.command(verb, {"number": number, **args}, Actor("user", person, "ui"))

    async def silence(self, name: str, value: str, length: str) -> str:
        now_ms = self.clock.now_ms()
        matcher = Matcher(name, MatchOp.EQUAL, value)
        wanted = Silence("", (matcher,), now_ms, now_ms + parse_duration_ms(length), "ana", "planned work")
        return await self.core.dispatcher.set_silence(wanted, Actor("user", "ana"))

    # -- what happened ------------------------------------------------------------------------------------------------

    def told(self) -> list[Told]:
        """Every message in order of time."""
        out = []
        for request in self.http.requests:
            text = orjson.loads(request.body)["text"]
            out.append(Told(round(request.at_s * 1000), request.url.rsplit("/", 1)[-1], "slack", kind_of(text), text))
        for at_ms, mail in self._mails():
            who = mail["To"].split("@")[0].strip("<")
            text = mail.get_body(("plain",)).get_content()
            out.append(Told(at_ms, who, "email", kind_of(text), f"{mail['Subject']}\n{text}"))
        return sorted(out, key=lambda told: told.at_ms)

    def _mails(self) -> list[tuple[int, Any]]:
        found = []
        for mail in self.smtp.mails:
            message = email.message_from_bytes(mail.message, policy=email.policy.default)
            found.append((self._sent_ms(str(message["Message-ID"])), message))
        return found

    def _sent_ms(self, message_id: str) -> int:
        db = Database(sqlite_url(self.folder / "state.db"), read_only=True, inline=True)
        try:
            query = "SELECT MAX(a.started_ms) FROM notifications n JOIN attempts a ON a.notification = n.id WHERE n.id = ?"
            return int(db.read_now(lambda c: c.exec_driver_sql(query, (message_id[1:33],)).scalar() or 0)) - START_MS
        finally:
            db.close()

    def pages(self, who: str) -> list[Told]:
        return [told for told in self.told() if told.who == who and told.kind == "page"]

    def ends(self, who: str) -> list[Told]:
        return [told for told in self.told() if told.who == who and told.kind == "resolved"]

    def incidents(self, state: str = "all") -> list[dict[str, Any]]:
        return self._read(lambda c: incident_rows(c, self.core.escalator.directory_at(c, self.clock.now_ms()), state=state))

    def incident(self, number: int = 1) -> dict[str, Any]:
        return self._read(lambda c: incident_detail(c, number, self.core.escalator.directory_at(c, self.clock.now_ms())))

    def _read(self, work: Callable[[Any], Any]) -> Any:
        db = Database(sqlite_url(self.folder / "state.db"), read_only=True, inline=True)
        try:
            return db.read_now(work)
        finally:
            db.close()


def kind_of(text: str) -> str:
    low = text.lower()
    if "resolved" in low.splitlines()[0] or low.startswith("resolved"):
        return "resolved"
    if "acknowledged" in low.splitlines()[0]:
        return "acknowledged"
    return "page"


def after(time: str, act: Callable[[], Any]) -> tuple[int, Callable[[], Any]]:
    return parse_duration_ms(time), act
