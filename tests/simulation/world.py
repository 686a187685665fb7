"""A whole life of the alert path on virtual time: rules, dispatcher, escalator and deliverer over one database.

    trouble: lives that end in a crash, with every fault ──▶ calm: what fires is known outside ──▶ recovery: so is its end

The process dies at a point (`points.py`) and begins again from what the database holds. Nothing here is random but through
`Random(seed)`. What was committed, and when in true time, is read from the database's own tables after each commit (`Journal`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from tests.fakes.house import directory, person, policy
from tests.fakes.ports import SeededRandom
from tests.fakes.virtual import VirtualClock, VirtualLoop
from tests.simulation import asked
from tests.simulation.disk import Disk, SimulatedDatabase, machine
from tests.simulation.journal import Journal
from tests.simulation.measured import INSTANCES, INTERVAL_S, METRICS, Measured, Series, rule_groups
from tests.simulation.outside import HOOK, MAIL, NTFY, PERSON_HOOK, TWILIO, Outside
from tests.simulation.points import Crash, Points
from tests.simulation.tasks import supervised, task_factory

from tocsin.alerts.dispatch import Dispatcher
from tocsin.errors import CommandError, StateError
from tocsin.incidents.escalate import Escalator
from tocsin.model.alert import Alert
from tocsin.model.event import Actor
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.route import Destination, Receiver, Route, Routing, Silence
from tocsin.notify.deliver import Deliverer
from tocsin.notify.settings import ChannelSettings
from tocsin.rules.evaluate import Evaluator

MINUTE = 60.0
SETTLED_S = 50 * 60
CALM_S, RECOVERY_S = 6 * MINUTE, 3 * MINUTE
GROUP_WAIT_MS, GROUP_INTERVAL_MS = 5_000, 20_000
ANA = Actor("user", "ana", "ui")
CHANNELS = {
    "email": {"smarthost": f"{MAIL}:25"},
    "ntfy": {"server": f"https://{NTFY}"},
    "sms": {"account_sid": "AC1", "auth_token": "t", "from": "+15550000000", "api_url": f"https://{TWILIO}"},
}
METHODS = (("webhook", "ntfy"), ("webhook", "sms"), ("webhook",), ("sms", "ntfy"), ("ntfy", "webhook"))
WITH_MAIL = (*METHODS, ("ntfy", "email"), ("email",))
ADDRESSES = {"email": "{}@mail.example", "ntfy": "{}", "sms": "+1555123456{}", "webhook": "https://" + PERSON_HOOK + "/{}"}


class World:
    """One seed's world. `run()` lives it; `invariants.py` judges it."""

    def __init__(self, seed: int, *, transitions: int = 50, lives: int = 4) -> None:
        self.seed = seed
        self.transitions_wanted = transitions
        self.lives = lives
        self.chance = random.Random(seed)
        self.clock_jumps = seed % 4 == 0
        """Only some worlds have a wall clock that jumps, since it explains so much."""
        self.points = Points(random.Random(seed * 7 + 1))
        self.clock = VirtualClock()
        self.outside = Outside(self.points, random.Random(seed * 7 + 2))
        self.measured = Measured(random.Random(seed * 7 + 3))
        self.disk = Disk(machine().path, self.points, random.Random(seed * 7 + 4))
        self.journal = Journal()
        self.disk.on_commit = self.journal.read
        self.people = self._people()
        self.receivers = self.people.receivers
        self.posted: dict[str, Alert] = {}
        """fingerprint -> the alert as last reported through the API."""
        self.owed: dict[str, Alert] = {}
        """Reports whose sender got no answer and will say it again."""
        self.events: list[tuple[float, str]] = []
        """What happened to the world, in true time: for the story of a replay."""
        self.boots: list[float] = []
        self.life = 0
        self.transitions = 0
        self.firing_in_calm: set[str] = set()
        self.seen_in_calm: set[str] = set()
        self.recovered: dict[str, float] = {}
        """fingerprint -> when its trouble ended, in the recovery."""
        self.jumps: list[float] = []
        self.highest_ms = 0
        """The latest wall time there ever was before a jump."""
        self.hung = ""
        self.quiet_in_calm: set[str] = set()
        """Fingerprints that a silence covers at the end of the calm, or that flap: those are told when they have settled."""
        self.flapping: set[str] = set()
        """Fingerprints of alerts that flap, or whose incident does: their end is told when they have settled."""
        self.worked: list[tuple[float, float]] = []
        """(start, first commit) of each life whose disk was well; it starts anew where it was frozen before its first work."""
        self.awake_s = 0.0
        self.tasks_at_end = 0
        self.calm_lasted_s = 0.0
        self.calm_s = self.end_s = 0.0

    def _people(self) -> Any:
        def somebody(name: str, digit: int) -> Any:
            made = person(name, *self.chance.choice(METHODS if self.seed % 4 else WITH_MAIL))
            methods = tuple(
                replace(method, address=ADDRESSES[method.channel].format(digit if method.channel == "sms" else name))
                for method in made.methods
            )
            return replace(made, methods=methods)

        return directory(
            somebody("ana", 1),
            somebody("ben", 2),
            policy=policy(["ana"], ["ben"], delay_ms=60_000, repeat=1),
            destinations=(Destination("webhook", {"url": f"https://{HOOK}/in"}),),
        )

    # -- the process --

    def _build(self) -> None:
        self.db = SimulatedDatabase(self.disk, machine().engines)
        randomness = SeededRandom(self.seed * 1000 + self.life)
        self.escalator = Escalator(
            db=self.db, clock=self.clock, changed=_nobody, wake_notify=lambda: self.deliverer.wake(), random=randomness,
            directory=self.people,
        )  # fmt: skip
        self.deliverer = Deliverer(
            db=self.db, clock=self.clock, http=self.outside, smtp=self.outside, random=randomness, changed=_nobody,
            undelivered=self.escalator.undelivered, settings=self._settings(),
        )  # fmt: skip
        counter = iter(range(10**9))
        self.dispatcher = Dispatcher(
            db=self.db, sink=self.escalator.receive_page, clock=self.clock, changed=_nobody,
            wake_incidents=lambda: (self.escalator.wake(), self.deliverer.wake()),
            new_id=lambda: f"{self.life:08x}-0000-4000-8000-{next(counter):012x}",
        )  # fmt: skip
        self.journal.first_commit_s = None
        self.awake_s = self.loop.time()
        self._disk_at_boot = self.disk.fails
        self.evaluator = Evaluator(
            db=self.db, queryable=self.measured, writer=self.measured, reader=self.measured.store, clock=self.clock,
            changed=_nobody, wake=self.dispatcher.wake, inline=True,
        )  # fmt: skip
        self._apply(GROUP_INTERVAL_MS, rule_groups())

    def _settings(self) -> ChannelSettings:
        return ChannelSettings(CHANNELS, self.people.persons, self.receivers, "https://t.example", "t.example")

    def _apply(self, group_interval_ms: int, groups: Any) -> None:
        """As `app.core.Core.apply`: people and routes first."""
        root = Route(
            "0",
            "web",
            group_by=("alertname",),
            group_wait_ms=GROUP_WAIT_MS,
            group_interval_ms=group_interval_ms,
            repeat_interval_ms=3_600_000,
        )
        self.deliverer.apply(self._settings())
        self.escalator.apply(self.people)
        self.dispatcher.apply(Routing(root, {name: Receiver(name) for name in self.receivers}))
        self.evaluator.apply(groups)

    async def _live(self, script: Callable[[], Awaitable[None]]) -> bool:
        """Run the process and `script` until that ends (True) or the process dies (False)."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self.points.on_end = ended.set
        loop.set_task_factory(task_factory(self.points))
        self._note("the process starts")
        self.boots.append(loop.time())
        self._build()
        stages = (self.evaluator.run, self.dispatcher.run, self.escalator.run, self.deliverer.run)
        tasks = [asyncio.create_task(supervised(run)) for run in stages]
        tasks.append(asyncio.create_task(self._scrape()))
        acts, death = asyncio.create_task(script()), asyncio.create_task(ended.wait())
        await asyncio.wait([*tasks, acts, death], return_when=asyncio.FIRST_COMPLETED)
        died = self.points.dead
        finished = acts.done() and not died
        self.points.kill()
        for task in [*tasks, acts, death]:
            task.cancel()
        results = await asyncio.gather(*tasks, acts, return_exceptions=True)
        machine().pull_the_plug()
        if self.journal.first_commit_s is not None and not self._disk_at_boot:
            self.worked.append((min(self.awake_s, self.journal.first_commit_s), self.journal.first_commit_s))
        if not died:
            for result in results:
                if isinstance(result, BaseException) and not _ended_by_us(result):
                    raise result
        self._note("the process ends")
        return finished

    async def _scrape(self) -> None:
        while True:
            self.measured.scrape(self.clock.now_ms(), asyncio.get_running_loop().time())
            await asyncio.sleep(INTERVAL_S)

    # -- the script --

    async def run(self) -> None:
        machine().insert(self.disk)
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, VirtualLoop)
        for life in range(self.lives):
            self.life = life
            self.points.arm()
            await self._live(self._trouble)
            await asyncio.sleep(self.chance.choice((0.3, 0.3, 2.0, 45.0)))
            if self.clock_jumps and self.chance.random() < 0.3:
                await self._jump()
        self.points.disarm()
        self.life = self.lives
        while not await self._live(self._until_enough):
            self.points.disarm()
        self.life += 1
        self._make_calm()
        self.points.disarm()
        await self._live(self._calm)
        self.end_s = self.loop.time()

    async def _trouble(self) -> None:
        for _ in range(60):
            await asyncio.sleep(self.chance.expovariate(1 / 4))
            await self._something()

    async def _until_enough(self) -> None:
        # What still fires ends in the recovery at the latest.
        while self.journal.transitions() + len(self.journal.firing) < self.transitions_wanted:
            await asyncio.sleep(self.chance.expovariate(1 / 4))
            await self._something()

    async def _something(self) -> None:
        acts = (
            (55, self._flip), (12, self._post), (11, self._command), (5, self._silence), (2, self._expire),
            (4, self._lose_target), (2, self._freeze), (2, self._reload), (2, self._jump), (2, self._break_disk),
            (2, self._break_queries), (3, self._cut_off),
        )  # fmt: skip
        (act,) = self.chance.choices([act for _, act in acts], [weight for weight, _ in acts])
        try:
            await act()
        except (CommandError, StateError, sa.exc.SQLAlchemyError) as error:
            self._note(f"refused: {type(error).__name__}")

    def _note(self, text: str) -> None:
        self.events.append((self.loop.time(), text))

    async def _flip(self) -> None:
        """One series turns, or all of one instance do."""
        instance = self.chance.choice(INSTANCES)
        metrics = METRICS if self.chance.random() < 0.4 else (self.chance.choice(METRICS),)
        bad = not self.measured.bad[(metrics[0], instance)]
        for metric in metrics:
            self._turn((metric, instance), bad=bad)

    def _turn(self, series: Series, *, bad: bool) -> None:
        self.measured.turn(series, bad=bad, t_s=self.loop.time())
        self._note(f"{series[0]} of {series[1]} turns {'bad' if bad else 'good'}")

    async def _post(self) -> None:
        """Somebody else's alert begins or ends, through the API; confirmed when this returns."""
        number = self.chance.randrange(3)
        labels = Labels({"alertname": "Posted", "instance": f"p{number}", "severity": "critical", "service": "web"})
        await self._again()
        await self._report(labels, end=None)

    async def _again(self) -> None:
        """Whoever got no answer reports again, as every client of the API does."""
        for key, alert in list(self.owed.items()):
            await self.dispatcher.post([alert], ANA)
            self.owed.pop(key, None)

    async def _report(self, labels: Labels, *, end: bool | None) -> None:
        now_ms = self.clock.now_ms()
        key = labels.fingerprint_hex()
        known = self.posted.get(key)
        firing = known is not None and known.ends_at_ms == 0
        if end is not None and end != firing:
            return
        start_ms = known.starts_at_ms if firing and known else now_ms
        alert = Alert(labels, {}, start_ms, max(now_ms, start_ms + 1) if firing else 0, now_ms)
        self._note(f"post {labels.get('instance')} {'ends' if firing else 'begins'}")
        self.posted[key] = self.owed[key] = alert
        await self.dispatcher.post([alert], ANA)
        self.owed.pop(key, None)

    async def _command(self) -> None:
        numbers = self.db.read_now(asked.open_incidents)
        if not numbers:
            return
        number = self.chance.choice(numbers)
        name = self.chance.choice(("acknowledge", "acknowledge", "acknowledge", "unacknowledge", "escalate", "snooze"))
        self._note(f"{name} #{number}")
        row = await self.escalator.command(name, {"number": number, "until_ms": self.clock.now_ms() + 60_000}, ANA)
        if name == "acknowledge" and row["state"] == "acknowledged":
            self.journal.confirm("acknowledged", f"incident:{number}", self.loop.time())

    async def _silence(self) -> None:
        now_ms = self.clock.now_ms()
        name = self.chance.choice(("Errors", "Latency", "Drops", "Posted"))
        silence = Silence(
            "", (Matcher("alertname", MatchOp.EQUAL, name),), now_ms, now_ms + self.chance.randint(10, 90) * 1000, "ana", "quiet"
        )
        id_ = await self.dispatcher.set_silence(silence, ANA)
        self._note(f"silence {id_[-4:]} of {name} for {(silence.ends_at_ms - now_ms) // 1000} s")
        self.journal.confirm("silenced", f"silence:{id_}", self.loop.time())

    async def _expire(self) -> None:
        if self.journal.silences:
            id_ = self.chance.choice(sorted(self.journal.silences)).removeprefix("silence:")
            await self.dispatcher.expire_silence(id_, ANA)
            self._note(f"silence {id_[-4:]} ended by hand")

    async def _lose_target(self) -> None:
        lost = self.chance.choice((self.measured.failing, self.measured.silent))
        instance = self.chance.choice(INSTANCES)
        (lost.discard if instance in lost else lost.add)(instance)
        self._note(f"failing {sorted(self.measured.failing)}, silent {sorted(self.measured.silent)}")

    async def _freeze(self) -> None:
        """SIGSTOP: time goes on, the process does not."""
        self.loop.now_s += self.chance.choice((3.0, 20.0, 90.0))
        if self.journal.first_commit_s is None:
            self.awake_s = self.loop.time()
        self._note("frozen until now")

    async def _reload(self) -> None:
        self._note("configuration reload")
        change = self.chance.randrange(4)
        groups = rule_groups(
            for_ms=30_000 if change == 1 else 15_000,
            summary="said anew" if change == 2 else "bad",
            file="renamed.yml" if change == 3 else "rules.yml",
        )
        self._apply(self.chance.choice((GROUP_INTERVAL_MS, 10_000)), groups)

    async def _jump(self) -> None:
        by_ms = self.chance.choice((3_600_000, -3_600_000, 30_000, -30_000))
        if not self.clock_jumps:
            return
        if self.clock.jumped_ms:
            by_ms = -self.clock.jumped_ms
        elif self.chance.random() < 0.5:
            return
        self.highest_ms = max(self.highest_ms, self.clock.now_ms())
        self.clock.jump_ms(by_ms)
        self.jumps.append(self.loop.time())
        self._note(f"the wall clock jumps by {by_ms // 1000} s")

    async def _break_disk(self) -> None:
        self.disk.fails = self.chance.choice(("full", "io", "locked", "slow"))
        self._note(f"disk: {self.disk.fails}")
        self.loop.call_later(self.chance.choice((2.0, 15.0, 60.0)), self._mend_disk)

    def _mend_disk(self) -> None:
        self.disk.fails = ""

    async def _break_queries(self) -> None:
        self.measured.queries_fail = not self.measured.queries_fail
        self._note(f"queries {'fail' if self.measured.queries_fail else 'work'}")

    async def _cut_off(self) -> None:
        self.outside.partition_until_s = self.loop.time() + self.chance.choice((5.0, 40.0, 130.0))
        self._note("cut off from the network")

    # -- calm --

    def _make_calm(self) -> None:
        self.outside.trouble = 0.0
        self.outside.partition_until_s = 0.0
        self.outside.down_until_s.clear()
        self.disk.fails = ""
        self.measured.queries_fail = False
        self.measured.failing.clear()
        self.measured.silent.clear()
        if (behind_ms := self.highest_ms - self.clock.now_ms()) > 0:
            # The store takes nothing older than what it has: a clock that was set back leaves the rules blind until it is right.
            self.jumps.append(self.loop.time())
            self.clock.jump_ms(behind_ms + 1000)
        self.hung = self.chance.choice(("", "", HOOK, PERSON_HOOK))
        self.calm_s = self.loop.time()
        self._note(f"calm{f', but {self.hung} hangs' if self.hung else ''}")
        if self.hung:
            self.outside.hanging = {self.hung}

    async def _calm(self) -> None:
        """No more trouble: what fires must be known outside; then all recovers and that must be known, too."""
        await self._again()
        if self.hung:
            await asyncio.sleep(2 * MINUTE)
            self.outside.hanging = set()
            self._note("hangs no more")
        await asyncio.sleep(CALM_S)
        for _ in range(SETTLED_S // 60 if self.seed % 2 else 0):
            if not self.db.read_now(asked.flapping):
                break
            await asyncio.sleep(60.0)
        self.calm_lasted_s = self.loop.time() - self.calm_s
        self.seen_in_calm = self.receiver_view()
        self.firing_in_calm = self.truth()
        self.flapping = self.db.read_now(asked.flapping)
        self.quiet_in_calm = self.db.read_now(asked.quiet) | self.flapping
        for series in sorted(self.measured.bad):
            if self.measured.bad[series]:
                self._turn(series, bad=False)
                self.recovered[fingerprint_of(series)] = self.loop.time()
                await asyncio.sleep(self.chance.choice((0.0, 0.0, 7.0)))
        for key, alert in sorted(self.posted.items()):
            if not alert.ends_at_ms:
                await self._report(alert.labels, end=True)
                self.recovered[key] = self.loop.time()
        await asyncio.sleep(RECOVERY_S)
        self.flapping |= self.db.read_now(asked.flapping)
        # What flaps is believed to be over after a quiet quarter of an hour, by its rule and then by its incident.
        for _ in range(SETTLED_S // 60):
            if self.db.read_now(asked.settled):
                break
            await asyncio.sleep(60.0)
        self.tasks_at_end = len(asyncio.all_tasks())

    def true_s(self, t_ms: int) -> float:
        """True time of a wall clock time of the calm and later, in which the wall clock stays."""
        return (t_ms - self.clock.start_ms - self.clock.jumped_ms) / 1000

    def truth(self) -> set[str]:
        """Fingerprints of everything that is really firing."""
        posted = {key for key, alert in self.posted.items() if alert.ends_at_ms == 0}
        return posted | {fingerprint_of(series) for series, bad in self.measured.bad.items() if bad}

    def receiver_view(self, at: str = HOOK) -> set[str]:
        """Fingerprints that the receiver of the webhooks believes to be firing, repeated deliveries folded.

        Order is promised within an incident. The end of an incident whose first try was lost may be repeated after an alert has
        begun the next incident: such a message is marked as a possible repeat, and its id is older than what the receiver knows
        of the alert, so that it is no news of it.
        """
        firing: set[str] = set()
        seen: set[str] = set()
        newest: dict[str, str] = {}
        for arrival in self.outside.arrivals:
            if arrival.host != at or arrival.id in seen:
                continue
            seen.add(arrival.id)
            for alert in arrival.body["alerts"]:
                if arrival.repeat and arrival.id < newest.get(alert["fingerprint"], ""):
                    continue
                newest[alert["fingerprint"]] = arrival.id
                (firing.add if alert["status"] == "firing" else firing.discard)(alert["fingerprint"])
        return firing


NAMES = {"errors": "Errors", "latency": "Latency", "drops": "Drops"}


def fingerprint_of(series: Series) -> str:
    metric, instance = series
    named = {"alertname": NAMES[metric], "job": "web", "instance": instance, "severity": "critical", "service": "web"}
    return Labels(named).fingerprint_hex()


def _nobody(topic: str, subject: str = "") -> None:
    return None


def _ended_by_us(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_ended_by_us(inner) for inner in error.exceptions)
    return isinstance(error, asyncio.CancelledError | Crash)
