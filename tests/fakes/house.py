"""A small house for tests: escalator and deliverer on a real SQLite database, virtual time and fake ports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.ports import FakeHttp, FakeSmtp, SeededRandom
from tests.fakes.virtual import VirtualClock

from tocsin.errors import Place
from tocsin.incidents.escalate import Escalator
from tocsin.incidents.people import Directory
from tocsin.incidents.timeline import timeline
from tocsin.incidents.why import incident_detail, incident_rows, notification_rows
from tocsin.model.alert import Alert, Page, PageReason, SuppressedBy
from tocsin.model.event import Actor
from tocsin.model.incident import ContactMethod, Person, Policy, PolicyStep, Target, TargetKind
from tocsin.model.labels import Labels
from tocsin.model.route import Destination, Receiver
from tocsin.notify.deliver import Deliverer
from tocsin.notify.pictures import Pictures
from tocsin.notify.settings import ChannelSettings
from tocsin.state.schema import metadata
from tocsin.state.sql import Database

SLACK_URL = "https://hooks.slack.example/services/T/B/secret"
HOOK_URL = "https://hook.example/in"
WEB = Actor("user", "ana", "ui")


def person(name: str, *channels: str, **more: Any) -> Person:
    """A person with one contact method per channel."""
    addresses = {"email": f"{name}@shop.example", "slack": f"{SLACK_URL}-{name}", "webhook": f"{HOOK_URL}/{name}"}
    methods = tuple(ContactMethod(channel, channel, addresses.get(channel, name)) for channel in channels or ("email",))
    return Person(name, email=addresses["email"], methods=methods, **more)


def user(name: str) -> Target:
    return Target(TargetKind.USER, name)


def policy(*steps: Sequence[str], delay_ms: int = 300_000, repeat: int = 1, final: Sequence[str] = ()) -> Policy:
    """A policy whose steps name people."""
    made = tuple(PolicyStep(tuple(user(name) for name in names), delay_ms) for names in steps)
    return Policy("web", made, repeat, tuple(user(name) for name in final))


def directory(*persons: Person, policy: Policy | None = None, destinations: Sequence[Destination] = (), **more: Any) -> Directory:
    receiver = Receiver("web", tuple(destinations), policy.name if policy else "", Place("tocsin.yaml", 3))
    return Directory(
        persons={p.name: p for p in persons},
        policies={policy.name: policy} if policy else {},
        receivers={"web": receiver},
        external_url="https://tocsin.example",
        **more,
    )


def alert(name: str = "Down", *, starts_at_ms: int = 1, ends_at_ms: int = 0, severity: str = "critical", **labels: str) -> Alert:
    named = Labels({"alertname": name, "severity": severity, "service": "web", **labels})
    annotations = {"summary": f"{name} on {labels.get('instance', 'web')}"}
    return Alert(named, annotations, starts_at_ms, ends_at_ms, value=7.5)


def page(
    *firing: Alert,
    resolved: Sequence[Alert] = (),
    muted: Sequence[tuple[Alert, tuple[SuppressedBy, ...]]] = (),
    reason: PageReason = PageReason.FIRST,
    group: str = "g",
) -> Page:
    labels = Labels({"alertname": group})
    key = f'{{}}:{{alertname="{group}"}}'
    return Page("web", key, labels, "0", reason, firing, tuple(resolved), tuple(muted), trace_id="t1")


@dataclass
class House:
    people: Directory
    path: Path
    clock: VirtualClock = field(default_factory=VirtualClock)
    http: FakeHttp = field(default_factory=FakeHttp)
    smtp: FakeSmtp = field(default_factory=FakeSmtp)
    random: SeededRandom = field(default_factory=SeededRandom)
    defaults: dict[str, dict[str, Any]] = field(default_factory=lambda: {"email": {"smarthost": "mail.example:25"}})
    hints: list[tuple[str, str]] = field(default_factory=list)
    new_database: bool = True
    pictures: Pictures | None = None

    def __post_init__(self) -> None:
        self.db = Database(f"sqlite:///{self.path}", inline=True)
        if self.new_database:
            metadata.create_all(self.db.engine)
        self.settings = ChannelSettings(
            self.defaults, self.people.persons, self.people.receivers, self.people.external_url, "tocsin.example"
        )
        self.build()

    def build(self) -> None:
        def changed(topic: str, subject: str = "") -> None:
            self.hints.append((topic, subject))

        self.escalator = Escalator(
            db=self.db, clock=self.clock, changed=changed, wake_notify=lambda: self.deliverer.wake(), random=self.random,
            directory=self.people,
        )  # fmt: skip
        self.deliverer = Deliverer(
            db=self.db, clock=self.clock, http=self.http, smtp=self.smtp, random=self.random, changed=changed,
            undelivered=self.escalator.undelivered, settings=self.settings, pictures=self.pictures,
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        tasks = [asyncio.create_task(self.escalator.run()), asyncio.create_task(self.deliverer.run())]
        try:
            await asyncio.sleep(0)
            yield self
            for task in tasks:
                if task.done():
                    await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.db.close()

    async def page(self, given: Page) -> None:
        await self.db.write(lambda tx: self.escalator.receive_page(tx, given, self.clock.now_ms()))
        self.escalator.wake()

    async def command(self, name: str, number: int = 1, actor: Actor = WEB, **args: Any) -> dict[str, Any]:
        return await self.escalator.command(name, {"number": number, **args}, actor)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def incidents(self, state: str = "all") -> list[dict[str, Any]]:
        return self.db.read_now(lambda tx: incident_rows(tx, self.people, state=state))

    def detail(self, number: int = 1) -> dict[str, Any]:
        found = self.db.read_now(lambda tx: incident_detail(tx, number, self.people))
        assert found is not None
        return found

    def log(self) -> list[dict[str, Any]]:
        """Notifications, oldest first."""
        return list(reversed(self.db.read_now(notification_rows)))

    def story(self, number: int = 1) -> list[str]:
        return [entry["verb"] for entry in self.db.read_now(lambda tx: timeline(tx, number))]

    def mails_to(self, name: str) -> int:
        return sum(mail.recipient.startswith(f"{name}@") for mail in self.smtp.mails)
