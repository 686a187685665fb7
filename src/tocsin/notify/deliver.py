"""The deliverer: claims due rows of the outbox, decides once more, sends, and writes down what came of it.

outbox ──claim (lease, re-decision, one transaction)──▶ channel.send ──finish (one transaction)──▶ outbox
  ▲                                                                                                  │
  └──────────────────────── retry with jitter, or the next way through `undelivered` ◀───────────────┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tocsin.clock import Clock, until_woken
from tocsin.errors import CommandError, StateError
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge, Histogram
from tocsin.model.event import SYSTEM, Actor
from tocsin.model.notification import Delivery, DeliveryOutcome, Message, Notification, NotificationKind, NotificationState
from tocsin.model.ports import Changed, Http, Random, Smtp
from tocsin.notify import claim as queue
from tocsin.notify import crowd, links, spoken, threads, trial
from tocsin.notify import questions as ask
from tocsin.notify.channel import Channel, Io
from tocsin.notify.compose import Composer
from tocsin.notify.inbound import Report
from tocsin.notify.lanes import Lanes
from tocsin.notify.pictures import Pictures
from tocsin.notify.retry import PERSON_TTL_MS, Next, after
from tocsin.notify.settings import ChannelSettings
from tocsin.state import outbox
from tocsin.state.sql import Database
from tocsin.state.steps import Steps

T = TypeVar("T")
log = get_log("notify")

notifications_total = Counter("tocsin_notifications_total", "Notifications that are done.", ["channel", "kind", "outcome"])
attempt_seconds = Histogram("tocsin_notification_attempt_duration_seconds", "One attempt to send.", ["channel"])
page_latency = Histogram("tocsin_page_latency_seconds", "From the decision to page to the first request to the provider.")
lane_paused = Gauge("tocsin_notification_lane_paused", "1 while a provider is paused: it fails, or asked to wait.", ["lane"])
outbox_rows = Gauge("tocsin_outbox_rows", "Rows of the outbox that wait or are being sent.", ["state"])

_LONGEST_NAP_MS = 30_000
_BUSY_NAP_MS = 5_000
_AFTER_ERROR_MS = 2_000
_SEND_TIMEOUT_S, _ILLUSTRATE_TIMEOUT_S = 45.0, 20.0
_PLACE_TTL_MS = 24 * 3_600_000
_PRUNE_EVERY_MS = 3_600_000


class Undelivered(Protocol):
    """Told, in the deliverer's transaction, of a page that failed or that nobody accepted for a minute.

    And of a message to a visitor that will never arrive: a webhook whose server is gone is forgotten.
    """

    def __call__(self, tx: Connection, note: Notification, why: str, now_ms: int) -> None: ...


class Deliverer:
    """Sends what the outbox holds. `run()` belongs to one task; `wake()` may come from any thread."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        http: Http,
        smtp: Smtp,
        random: Random,
        changed: Changed,
        undelivered: Undelivered,
        settings: ChannelSettings | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._random = random
        self._changed = changed
        self._undelivered = undelivered
        self._composer = Composer(http=http, smtp=smtp, clock=clock, settings=settings or ChannelSettings(), pictures=pictures)
        self._lanes = Lanes()
        self._asked: set[str] = set()
        self._only_sender = db.url.startswith("sqlite")
        self._steps = Steps(clock, "notify")
        self._pruned_ms = 0
        self._owner = ""
        self.looked_ms = 0
        """When the outbox was last looked at."""
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._ending = False
        self._claims_over = asyncio.Event()

    def apply(self, settings: ChannelSettings) -> None:
        """Use new channel settings. What is being sent goes on with the old ones."""
        self._composer.apply(settings)
        self.wake()

    def wake(self) -> None:
        """Look again now."""
        loop = self._loop
        if loop is None or loop.is_closed():
            self._woken.set()
        else:
            loop.call_soon_threadsafe(self._woken.set)

    # -- the loop --

    async def run(self) -> None:
        """Deliver for ever. Sends run as tasks of this one and end with it."""
        self._loop = asyncio.get_running_loop()
        await self._start()
        async with asyncio.TaskGroup() as group:
            while not self._ending:
                self._woken.clear()
                try:
                    claimed, next_ms = await self._db.write(self._claim_due)
                    self._lanes.committed()
                except (StateError, sa.exc.SQLAlchemyError) as error:
                    log.error("cannot read the outbox", error=str(error))
                    claimed, next_ms = [], self._clock.now_ms() + _AFTER_ERROR_MS
                for one in claimed:
                    task = group.create_task(self._deliver(one))
                    self._sending.add(task)
                    task.add_done_callback(self._sending.discard)
                if claimed:
                    self._changed("notifications")
                else:
                    await self._tidy()
                if not self._ending:
                    await until_woken(self._clock, self._woken, next_ms)
            self._claims_over.set()

    async def drain(self, patience_s: float) -> int:
        """End in order: claim nothing more, let what is under way come to its answer, hand back the rest; returns how many.

        What a provider took in these seconds is written down, so the next start repeats none of it.
        """
        self._ending = True
        self.wake()
        try:
            async with asyncio.timeout(patience_s):
                await self._claims_over.wait()
                while self._sending:
                    await asyncio.wait(self._sending)
        except TimeoutError:
            pass
        unanswered = [task for task in self._sending if task.cancel()]
        await asyncio.gather(*unanswered, return_exceptions=True)
        return await self._db.write(lambda tx: queue.hand_back(tx, owner=self._owner, now_ms=self._clock.now_ms()))

    async def _start(self) -> None:
        """Make the link key and void the leases of our dead predecessor (an earlier `run` of this object included)."""
        self._owner = self._random.randbytes(8).hex()
        self._lanes = Lanes()

        def work(tx: Connection) -> tuple[bytes, int]:
            key = links.ensure_key(tx, self._random)
            now_ms = self._clock.now_ms()
            return key, queue.recover(tx, owner=self._owner, now_ms=now_ms, everything=self._only_sender)

        self._composer.key, again = await self._db.write(work)
        if again:
            log.warning("sending again what was under way when Tocsin ended", notifications=again)

    async def _tidy(self) -> None:
        """Let old texts go, while no message is due: in a transaction of its own, which holds up none."""
        now_ms = self._clock.now_ms()
        if self._ending or 0 <= now_ms - self._pruned_ms < _PRUNE_EVERY_MS:
            return
        self._pruned_ms = now_ms
        try:
            await self._db.write(lambda tx: spoken.prune(tx, now_ms))
        except (StateError, sa.exc.SQLAlchemyError) as error:
            log.error("cannot let go of old texts of messages", error=str(error))

    def _claim_due(self, tx: Connection) -> tuple[list[queue.Claimed], int]:
        """One look at the outbox. Everything in this transaction: late pages, expired rows, re-decisions, leases."""
        self.looked_ms = now_ms = self._clock.now_ms()
        self._follow_clock(tx, now_ms)
        for note in queue.late_pages(tx, now_ms, _ttl_ms, asked=self._asked):
            if queue.first_cry(tx, note.id):
                self._undelivered(tx, note, note.state_reason or "nobody has accepted it yet", now_ms)
        claimed: list[queue.Claimed] = []
        wait_ms = _LONGEST_NAP_MS
        self._lanes.put_back()
        for row in queue.due(tx, now_ms, blocked=self._blocked()):
            if not queue.still_waits(tx, row.id):
                continue  # Gathered into another message a moment ago.
            if len(claimed) >= queue.MOST_AT_ONCE:
                wait_ms = 0
                break
            wait_ms = min(wait_ms, self._consider(tx, row, now_ms, claimed))
        return claimed, min(now_ms + wait_ms, self._next_look(tx, now_ms))

    def _follow_clock(self, tx: Connection, now_ms: int) -> None:
        """What waits moves along with the wall clock, before anything is written of the new one. With one sender only."""
        if self._only_sender and (moved_ms := self._steps.missing(tx)):
            log.warning("the clock was moved, messages that wait move along", step_ms=moved_ms)
            queue.follow_clock(tx, moved_ms, now_ms=now_ms, fresh_ms=self._steps.since_ms)

    def _next_look(self, tx: Connection, now_ms: int) -> int:
        """When to look again if nobody wakes us: the next due row, and often while pages are under way (they may get late)."""
        found = ask.SURVEY.first(tx, now=now_ms)
        for state in ("pending", "sending", "held"):
            outbox_rows.set(getattr(found, state), state)
        nap_ms = _BUSY_NAP_MS if found.page else _LONGEST_NAP_MS
        return min(found.soonest or now_ms + nap_ms, now_ms + nap_ms)

    def _consider(self, tx: Connection, row: Any, now_ms: int, claimed: list[queue.Claimed]) -> int:
        """Claim or drop one due row; returns how long to wait when its lane has no room, else the longest nap."""
        channel = self._composer.channel(row.settings_ref)
        if isinstance(channel, Channel) and (wait := self._lanes.room_in_ms(channel.lane(), channel.rate, self._steady_ms())):
            return wait
        interrupts = isinstance(channel, Channel) and not channel.takes_updates
        verdict = queue.judge(tx, row, now_ms, interrupts=interrupts)
        if verdict.state is not None:
            dropped = queue.drop(tx, row, verdict, now_ms)
            notifications_total.inc(row.channel, row.kind, verdict.state.value)
            if verdict.state is NotificationState.EXPIRED and row.kind == "page" and queue.first_cry(tx, row.id):
                self._undelivered(tx, dropped.note, verdict.reason, now_ms)
            return 0
        if queue.hushed(tx, row, now_ms) or crowd.waits(tx, row, now_ms, interrupts=interrupts):
            return _LONGEST_NAP_MS
        if isinstance(channel, Channel) and crowd.spaced(tx, row, now_ms, every_ms=channel.news_every_ms):
            return _LONGEST_NAP_MS
        if isinstance(channel, Channel):
            self._lanes.admit(channel.lane(), channel.rate)
        row = crowd.gather(tx, row, now_ms, interrupts=interrupts)
        if isinstance(channel, Channel) and channel.threads:
            threads.settle(tx, row, now_ms)
        claimed.append(queue.claim(tx, row, owner=self._owner, now_ms=now_ms, moved_ms=self._steps.total_ms))
        return _LONGEST_NAP_MS

    # -- one message --

    async def _deliver(self, claimed: queue.Claimed) -> None:
        note = claimed.note
        channel = self._composer.channel(note.settings_ref)
        started = self._clock.monotonic_s()
        if note.kind is NotificationKind.PAGE and not note.attempts:
            page_latency.observe(max(self._clock.now_ms() - note.due_at_ms, 0) / 1000)
        refs = dict(claimed.refs)
        message, io = self._composer.message(channel, claimed, refs)
        heard = spoken.Heard()
        delivery = await self._attempt(channel, message, heard.listening(io))
        attempt_seconds.observe(self._clock.monotonic_s() - started, note.channel)
        jitter = self._random.random()
        said = _said(channel, message, heard)

        def work(tx: Connection) -> Next:
            now_ms = self._clock.now_ms()
            self._follow_clock(tx, now_ms)
            if isinstance(channel, Channel) and said:
                spoken.keep(tx, note.id, said, spoken.template_of(channel), now_ms)
            following = self._after(claimed, channel, delivery, now_ms=now_ms, jitter=jitter)
            cry = queue.finish(tx, claimed, delivery, following, now_ms, attempts_made=note.attempts + 1)
            if refs != claimed.refs:
                queue.keep_refs(tx, note, refs)
            if cry or (note.kind is NotificationKind.PUBLISHED and delivery.outcome is DeliveryOutcome.PERMANENT):
                self._undelivered(tx, note, delivery.reason, now_ms)
            return following

        following = await self._write_surely(work)
        self._release(channel, delivery)
        self._say(note, delivery, following.state)
        self._woken.set()
        told = following.state in (NotificationState.ACCEPTED, NotificationState.DELIVERED)
        first = note.kind is NotificationKind.PAGE and not claimed.refs
        if told and first and isinstance(channel, Channel) and channel.illustrates:
            await self._illustrate(channel, message, io)

    def _after(self, claimed: queue.Claimed, channel: Channel | str, delivery: Delivery, *, now_ms: int, jitter: float) -> Next:
        """What becomes of a message, by the clock as it is now: it may have been moved while the message was on its way."""
        note = claimed.note
        moved_ms = self._steps.total_ms - claimed.moved_ms
        begun_ms = note.expires_ms - _ttl_ms(note.settings_ref) if note.kind is NotificationKind.PAGE else note.created_ms
        return after(
            delivery,
            kind=note.kind,
            attempts=note.attempts + 1,
            created_ms=begun_ms + moved_ms,
            expires_ms=note.expires_ms + moved_ms,
            now_ms=now_ms,
            idempotent=isinstance(channel, Channel) and channel.idempotent,
            jitter=jitter,
            place=not note.settings_ref.startswith("user:"),
        )

    async def _illustrate(self, channel: Channel, message: Message, io: Io) -> None:
        """Add the chart to what is delivered and recorded already; whatever goes wrong is only logged."""
        problem = ""
        try:
            async with asyncio.timeout(_ILLUSTRATE_TIMEOUT_S):
                if image := await io.picture.png(_ILLUSTRATE_TIMEOUT_S):
                    problem = await channel.illustrate(message, io, image)
        except TimeoutError:
            problem = f"not done within {_ILLUSTRATE_TIMEOUT_S:g} s"
        except Exception as error:
            problem = type(error).__name__
        if problem:
            log.warning("could not add the chart", channel=channel.type, problem=problem)

    async def _attempt(self, channel: Channel | str, message: Message, io: Io) -> Delivery:
        if isinstance(channel, str):
            return Delivery.permanent(channel)
        note = message.notification
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                return await channel.send(message, io)
        except TimeoutError:
            return Delivery.unknown(f"no answer within {_SEND_TIMEOUT_S:g} s")
        except Exception as error:
            # A mistake in one channel must not stop the others: this page looks for another way.
            log.exception("channel failed", channel=note.channel, notification=note.id, trace=note.trace_id)
            return Delivery.retry(f"internal error in channel {note.channel}: {type(error).__name__}")

    async def _write_surely(self, work: Callable[[Connection], T]) -> T:
        """What was sent must be written down: go on trying while the state database is away (disk full, locked)."""
        while True:
            try:
                return await self._db.write(work)
            except (StateError, sa.exc.SQLAlchemyError) as error:
                log.error("cannot record a delivery, trying again", error=str(error))
                await self._clock.sleep_until_ms(self._clock.now_ms() + _AFTER_ERROR_MS)

    def _release(self, channel: Channel | str, delivery: Delivery) -> None:
        if isinstance(channel, str):
            return
        answer = delivery if channel.one_provider else Delivery.accepted()
        paused, opened = self._lanes.release(channel.lane(), channel.rate, answer, self._steady_ms())
        lane_paused.set(float(paused), channel.lane())
        if opened:
            log.error("provider fails, pausing it", lane=channel.lane(), reason=delivery.reason)

    def _say(self, note: Notification, delivery: Delivery, state: NotificationState) -> None:
        fields = {"notification": note.id, "channel": note.channel, "kind": note.kind.value, "trace": note.trace_id}
        if state is NotificationState.PENDING:
            log.warning("delivery failed, will try again", reason=delivery.reason, **fields)
        elif state in (NotificationState.ACCEPTED, NotificationState.DELIVERED):
            log.info("delivered", **fields)
            notifications_total.inc(note.channel, note.kind.value, "accepted")
        else:
            log.error("delivery failed for good", reason=delivery.reason, state=state.value, **fields)
            notifications_total.inc(note.channel, note.kind.value, state.value)
        self._changed("notifications", f"incident:{note.incident}" if note.incident else "")

    # -- lanes --

    def _steady_ms(self) -> int:
        """The lanes' time: it never jumps."""
        return round(self._clock.monotonic_s() * 1000)

    def _blocked(self) -> list[str]:
        """References whose lane is paused: their rows must not crowd out the others."""
        if not (paused := self._lanes.paused(self._steady_ms())):
            return []
        return [ref for ref, channel in self._composer.used() if channel.lane() in paused]

    def lanes(self) -> dict[str, dict[str, int]]:
        """Each provider's state, for status pages."""
        return self._lanes.shown(self._steady_ms())

    # -- what comes back, and by hand --

    async def report(self, report: Report) -> bool:
        """Take a provider's delivery report; a page that did not arrive looks for another way. False = not ours."""

        def work(tx: Connection) -> bool:
            self._follow_clock(tx, self._clock.now_ms())
            found = queue.reported(tx, report, self._clock.now_ms())
            lost = found is not None and found.kind is NotificationKind.PAGE and report.state is NotificationState.FAILED
            if found is not None and lost and queue.first_cry(tx, found.id):
                self._undelivered(tx, found, report.text, self._clock.now_ms())
            return found is not None

        known = await self._db.write(work)
        if known:
            self._changed("notifications")
            self.wake()
        return known

    async def test(self, *, person: str = "", receiver: str = "", contact: str = "", actor: Actor = SYSTEM) -> list[str]:
        """Send a test message to every contact method of a person (or the one named `contact`) or destination of a receiver;
        returns the new ids.

        Raises CommandError 404 when there is nothing to test.
        """
        prefix = f"user:{person}/" if person else f"receiver:{receiver}/"
        known = [ref for ref in self._composer.settings.references() if ref.startswith(prefix)]
        refs = [ref for ref in known if not contact or ref == prefix + contact]
        if known and not refs:
            names = ", ".join(ref.removeprefix(prefix) for ref in known)
            raise CommandError(404, "nothing_to_test", f"{person or receiver} has no contact {contact!r}; there are: {names}")
        if not refs:
            advice = (
                "write an `email:` or a `contact:` into the user"
                if person
                else "write a `*_configs` with an address into the receiver"
            )
            name = person or receiver or "nobody"
            raise CommandError(404, "nothing_to_test", f"{name} has no contact method or destination: {advice}")

        def work(tx: Connection) -> list[str]:
            now_ms = self._clock.now_ms()
            ids = outbox.new_ids(tx, now_ms=now_ms, random=self._random)
            notes = [trial.note(next(ids), ref, self._composer.channel(ref), person or receiver, actor, now_ms) for ref in refs]
            outbox.enqueue(tx, notes)
            return [note.id for note in notes]

        ids = await self._db.write(work)
        self._changed("notifications")
        self.wake()
        return ids

    async def retry(self, id_: str) -> str:
        """Send a failed, expired or cancelled notification once more. Raises CommandError 404 or 409."""

        def work(tx: Connection) -> None:
            now_ms = self._clock.now_ms()
            self._follow_clock(tx, now_ms)
            queue.send_again(tx, id_, now_ms, _ttl_ms)

        await self._db.write(work)
        self.wake()
        return id_


def _said(channel: Channel | str, message: Message, heard: spoken.Heard) -> str:
    """For the log; that it cannot be read must not keep what came of the attempt from being written down."""
    try:
        return spoken.spoken(heard, channel, message) if isinstance(channel, Channel) else ""
    except Exception:
        log.exception("the text of a message could not be kept", notification=message.notification.id)
        return ""


def _ttl_ms(settings_ref: str) -> int:
    """How long a page lives: see incidents.ledger, which set its expiry."""
    return PERSON_TTL_MS[NotificationKind.PAGE] if settings_ref.startswith("user:") else _PLACE_TTL_MS
