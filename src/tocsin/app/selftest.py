"""`tocsin selftest`: one alert all the way through the running server, each hop with its time.

sample ──▶ rule ──▶ alert ──▶ incident ──▶ outbox ──▶ channel; then the sample goes back to 0 and the end is awaited

For its duration the stages get a rule, a route and a policy of its own beside the configured ones; all else is the real path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.app.configuration import Configuration
from tocsin.bus.wire import Args
from tocsin.config.config import Config
from tocsin.errors import CommandError
from tocsin.incidents.analytics import SELFTEST
from tocsin.incidents.people import HOW_TO_BE_TOLD, destination_targets, who_can_be_told
from tocsin.model.event import Actor, Event
from tocsin.model.incident import Policy, PolicyStep, Target, TargetKind
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.ports import Random
from tocsin.model.route import Receiver, Route
from tocsin.model.series import Batch
from tocsin.rules.rulefile import parse_rule_file
from tocsin.state import events
from tocsin.state.schema import alert_states, alerts, incidents, notifications

if TYPE_CHECKING:
    from tocsin.app.core import Core

NAME = SELFTEST
_METRIC = "tocsin_selftest"
_HOP_S = 20.0
_CHANNEL_S = 45.0
_POLL_S = 0.1
_LANDED = ("accepted", "delivered", "read")
_LOST = ("failed", "expired", "cancelled", "held")
_RULE = """
groups:
  - name: {name}
    interval: 2s
    rules:
      - alert: TocsinSelfTest
        expr: {metric}{{run="{run}"}} == 1
        labels: {{severity: "{severity}", selftest: "{run}"}}
        annotations:
          summary: Self-test of the way of a page, nothing to do
          description: "{who} asked for it. It ends by itself."
"""


class SelfTest:
    """One at a time."""

    def __init__(self, core: Core, configuration: Configuration, random: Random) -> None:
        self._core = core
        self._configuration = configuration
        self._random = random
        self._busy = asyncio.Lock()

    async def run(self, args: Args, actor: Actor) -> Any:
        """{to?, urgent?} -> {ok, to, incident, hops: [{name, ok, t_ms, after_ms, text}]}. Raises CommandError 404, 409."""
        config = self._configuration.config
        to, policy = _policy(config, str(args.get("to", "")), self._core.clock.now_ms())
        if self._busy.locked():
            raise CommandError(409, "busy", "a self-test is under way")
        async with self._busy:
            severity = config.severities[-1] if args.get("urgent") else config.severities[0]
            walk = _Walk(self._core, self._random.randbytes(4).hex())
            text = f"self-test to {to}"
            event = Event(walk.start_ms, str(actor), "selftest", "selftest", text, {"via": actor.via})
            await self._core.db.write(lambda tx: events.record(tx, event))
            self._core.apply(_with_selftest(config, policy, walk.run, severity, actor.name))
            try:
                await walk.there()
                await walk.back()
            finally:
                self._core.apply(self._configuration.config)
        ok = bool(walk.hops) and all(hop["ok"] for hop in walk.hops)
        return {"ok": ok, "to": to, "incident": walk.incident, "hops": walk.hops}


def _policy(config: Config, to: str, now_ms: int) -> tuple[str, Policy]:
    """Who is told: a user, a receiver, or (nobody named) whoever can be reached first. Raises CommandError 404."""
    directory = config.directory
    names = (
        [to]
        if to
        else [*(p.name for p in directory.persons.values() if any(m.verified for m in p.methods)), *directory.receivers]
    )
    for name in names:
        targets: tuple[Target, ...] = ()
        if name in directory.persons:
            targets = (Target(TargetKind.USER, name),)
        elif name in directory.receivers:
            targets = destination_targets(directory.receivers[name])
        if targets:
            return name, Policy(NAME, (PolicyStep(targets, 3_600_000),), repeat=0)
    if not to:
        raise CommandError(404, "nobody", f"nobody can be paged yet: {HOW_TO_BE_TOLD}")
    raise CommandError(404, "nobody", f"there is no user or receiver {to!r} that can be told; {who_can_be_told(directory)}")


def _with_selftest(config: Config, policy: Policy, run: str, severity: str, who: str) -> Config:
    """The configuration with a rule, a route and a policy more."""
    plain = "".join(char for char in who if char.isalnum() or char in " .-_")[:60]
    text = _RULE.format(name=NAME, metric=_METRIC, run=run, severity=severity, who=plain)
    groups, problems = parse_rule_file(text, NAME)
    assert not problems, problems
    route = Route(
        id=NAME,
        receiver=NAME,
        matchers=(Matcher("selftest", MatchOp.EQUAL, run),),
        group_by=("selftest",),
        group_wait_ms=0,
        group_interval_ms=1_000,
    )
    receiver, routing, directory = Receiver(NAME, policy=NAME), config.routing, config.directory
    receivers = {**routing.receivers, NAME: receiver}
    return replace(
        config,
        rule_groups=(*config.rule_groups, *groups),
        routing=replace(routing, root=replace(routing.root, routes=(route, *routing.root.routes)), receivers=receivers),
        directory=replace(
            directory, receivers={**directory.receivers, NAME: receiver}, policies={**directory.policies, NAME: policy}
        ),
    )


class _Walk:
    """Follows one alert by the rows that it leaves."""

    def __init__(self, core: Core, run: str) -> None:
        self._core = core
        self.run = run
        self.start_ms = core.clock.now_ms()
        self.hops: list[dict[str, Any]] = []
        self.incident = 0

    async def there(self) -> None:
        """From the sample to the provider's answer; stops at the first hop that does not come."""
        hops: Sequence[tuple[str, float, Callable[[Connection], tuple[int, str] | None]]] = (
            ("rule", _HOP_S, self._rule),
            ("alert", _HOP_S, self._alert),
            ("incident", _HOP_S, self._incident),
            ("outbox", _HOP_S, self._outbox),
        )
        await self._sample(1.0)
        for name, wait_s, look in hops:
            if not await self._hop(name, wait_s, look):
                return
        await self._channels()

    async def back(self) -> None:
        """The condition ends, and so does everything that it began."""
        await self._sample(0.0, told=False)
        if self.incident:
            await self._hop("end", _HOP_S, self._ended)

    async def _sample(self, value: float, *, told: bool = True) -> None:
        now_ms = self._core.clock.now_ms()
        labels = Labels({"__name__": _METRIC, "run": self.run})
        self._core.store.append(Batch([labels], np.array([now_ms]), np.array([value])))
        if told:
            self._found("sample", now_ms, f"{_METRIC} = {value:g} is stored")

    async def _hop(self, name: str, wait_s: float, look: Callable[[Connection], tuple[int, str] | None]) -> bool:
        seen = await self._until(lambda: self._core.db.read(look), wait_s)
        if seen is None:
            self.hops.append({"name": name, "ok": False, "t_ms": 0, "after_ms": 0, "text": f"nothing within {wait_s:g} s"})
            return False
        self._found(name, *seen)
        return True

    async def _until(self, look: Callable[[], Awaitable[Any]], wait_s: float) -> Any:
        deadline_s = self._core.clock.monotonic_s() + wait_s
        while (seen := await look()) is None and self._core.clock.monotonic_s() < deadline_s:
            await asyncio.sleep(_POLL_S)
        return seen

    def _found(self, name: str, t_ms: int, text: str, *, ok: bool = True) -> None:
        self.hops.append({"name": name, "ok": ok, "t_ms": t_ms, "after_ms": max(t_ms - self.start_ms, 0), "text": text})

    # -- what each stage has written --

    def _rule(self, tx: Connection) -> tuple[int, str] | None:
        c = alert_states.c
        for row in tx.execute(sa.select(c.labels, c.phase, c.fired_at_ms).where(c.updated_ms >= self.start_ms)):
            if row.labels.get("selftest") == self.run and row.fired_at_ms:
                return row.fired_at_ms, f"TocsinSelfTest is {row.phase}"
        return None

    def _alert(self, tx: Connection) -> tuple[int, str] | None:
        c = alerts.c
        for row in tx.execute(sa.select(c.labels, c.updated_at_ms, c.suppressed_by).where(c.updated_at_ms >= self.start_ms)):
            if row.labels.get("selftest") == self.run:
                return row.updated_at_ms, f"suppressed: {row.suppressed_by}" if row.suppressed_by else "routed"
        return None

    def _incident(self, tx: Connection) -> tuple[int, str] | None:
        c = incidents.c
        query = sa.select(c.number, c.created_ms, c.group_labels, c.policy).where(
            c.receiver == NAME, c.created_ms >= self.start_ms
        )
        for row in tx.execute(query):
            if row.group_labels.get("selftest") == self.run:
                self.incident = row.number
                return row.created_ms, f"#{row.number} opened"
        return None

    def _outbox(self, tx: Connection) -> tuple[int, str] | None:
        rows = self._pages(tx)
        names = ", ".join(f"{row.channel} to {row.recipient}" for row in rows)
        return (rows[0].created_ms, names) if rows else None

    def _pages(self, tx: Connection) -> Sequence[Any]:
        c = notifications.c
        return tx.execute(sa.select(notifications).where(c.incident == self.incident, c.kind == "page").order_by(c.id)).all()

    async def _channels(self) -> None:
        """What came of each page."""

        async def settled() -> Sequence[Any] | None:
            rows = await self._core.db.read(self._pages)
            return rows if all(row.state in (*_LANDED, *_LOST) for row in rows) else None

        rows = await self._until(settled, _CHANNEL_S)
        for row in rows or await self._core.db.read(self._pages):
            said = f": {row.state_reason}" if row.state_reason else ""
            answer = f" ({row.provider_id})" if row.provider_id else ""
            text = f"{row.channel} to {row.recipient} {row.state}{said}{answer}"
            self._found("channel", row.done_ms or row.sent_ms, text, ok=row.state in _LANDED)

    def _ended(self, tx: Connection) -> tuple[int, str] | None:
        row = tx.execute(sa.select(incidents.c.state, incidents.c.resolved_ms).where(incidents.c.number == self.incident)).one()
        return (row.resolved_ms, f"#{self.incident} resolved") if row.state == "resolved" else None
