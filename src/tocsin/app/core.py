"""The core process: samples in, rules over them, alerts out of those, incidents, notifications. The only writer."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tocsin import __version__
from tocsin.alerts.dispatch import Dispatcher
from tocsin.app import alive
from tocsin.app.alertmanagers import AlertmanagerFinder
from tocsin.app.commands import command_table, ingest_table
from tocsin.app.configuration import Configuration
from tocsin.app.deadman import DeadMan
from tocsin.app.drawing import drawer
from tocsin.app.early import waiting
from tocsin.app.people import ensure_admin
from tocsin.app.phases import Phases
from tocsin.app.probedesk import ProbeDesk
from tocsin.app.pulse import Pulse
from tocsin.app.reports import report_settings
from tocsin.app.settings import ServeSettings, open_state
from tocsin.app.supervise import in_background, supervise
from tocsin.app.ways import ways
from tocsin.bus.server import Changes, EmbeddedServer, core_app, core_server
from tocsin.bus.wire import CommandHandler
from tocsin.clock import Clock, SystemClock
from tocsin.collect.host import HostCollector
from tocsin.collect.pushed import PushedGroups
from tocsin.collect.receive import CheckReceiver
from tocsin.collect.scrape import Scraper
from tocsin.collect.selfscrape import SelfCollector
from tocsin.config.config import Config
from tocsin.errors import StateError
from tocsin.incidents.escalate import Escalator
from tocsin.incidents.routine import Routine
from tocsin.log import get_log
from tocsin.metrics import Gauge
from tocsin.model.egress import EgressRules, parse_networks
from tocsin.model.event import SYSTEM
from tocsin.model.ports import Http, Queryable, Random, Smtp
from tocsin.notify.client import ConfiguredHttp
from tocsin.notify.deliver import Deliverer
from tocsin.notify.http import RealHttp
from tocsin.notify.pictures import Pictures
from tocsin.notify.pushover_poll import ReceiptPoller
from tocsin.notify.smtp import RealSmtp
from tocsin.notify.socket_mode import SocketMode
from tocsin.notify.telegram_poll import TelegramPoller
from tocsin.promql.engine import Engine, EngineOptions
from tocsin.random import SystemRandom
from tocsin.remote.alertmanager import Forwarder
from tocsin.remote.read import RemoteQueryable
from tocsin.remote.write import RemoteWriter
from tocsin.report.reporter import Reporter
from tocsin.rules.evaluate import Evaluator
from tocsin.state.sql import Database
from tocsin.tsdb.db import Store
from tocsin.tsdb.outgoing import Outgoing

log = get_log("core")

_DRAIN_S = 5.0
_PAGING = ("alerts", "incidents", "notify")
"""Loops that run before the store is open."""

build_info = Gauge("tocsin_build_info", "Always 1; which version runs.", ["version"])


@dataclass
class Core:
    """Every part of the core, joined. The order of the fields is the order in which data passes them."""

    clock: Clock
    http: Http
    changes: Changes
    db: Database
    store: Store
    engine: Engine
    desk: ProbeDesk
    scraper: Scraper
    host: HostCollector
    own: SelfCollector
    pushed: PushedGroups
    receiver: CheckReceiver
    evaluator: Evaluator
    dispatcher: Dispatcher
    escalator: Escalator
    deliverer: Deliverer
    routine: Routine
    reporter: Reporter
    telegram: TelegramPoller
    slack_socket: SocketMode
    receipts: ReceiptPoller
    forwarder: Forwarder
    alertmanagers: AlertmanagerFinder
    remote_write: RemoteWriter
    dead_man: DeadMan
    started_ms: int
    watch_host: bool = True
    restarts: int = 0
    egress: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @classmethod
    def build(
        cls,
        *,
        db: Database,
        store_path: Path,
        config: Config,
        clock: Clock,
        random: Random,
        http: Http,
        smtp: Smtp,
        hostname: str,
        inline: bool = False,
    ) -> Core:
        """Join the parts; nothing runs yet. `inline` evaluates rules on the caller's thread (virtual time)."""
        changes = Changes()
        store = Store(path=store_path, settings=config.store, clock=clock)
        engine = Engine(store, EngineOptions(features=frozenset(config.features)))
        queryable: Queryable = RemoteQueryable(config.source) if config.source else engine
        escalator: Escalator
        deliverer = Deliverer(
            db=db,
            clock=clock,
            http=http,
            smtp=smtp,
            random=random,
            changed=changes,
            undelivered=lambda tx, note, why, now_ms: escalator.undelivered(tx, note, why, now_ms),
            pictures=None if inline else Pictures(drawer(queryable)),
        )
        escalator = Escalator(db=db, clock=clock, changed=changes, wake_notify=deliverer.wake, random=random)
        dispatcher = Dispatcher(
            db=db, sink=escalator.receive_page, clock=clock, changed=changes, wake_incidents=lambda: _wake(escalator, deliverer)
        )
        evaluator = Evaluator(
            db=db,
            queryable=queryable,
            writer=store,
            clock=clock,
            changed=changes,
            wake=dispatcher.wake,
            external_url=config.external_url,
            external_labels=config.external_labels,
            reader=store,
            inline=inline,
        )
        receiver = CheckReceiver(
            writer=store, db=db, clock=clock, changed=changes, confirmed=in_background("evaluate check", evaluator.evaluate_check)
        )
        forwarder = Forwarder(
            alerts=dispatcher.own_alerts,
            http=http,
            clock=clock,
            http_with=lambda settings: ConfiguredHttp(http, settings, now_ms=clock.now_ms),
        )
        core = cls(
            clock=clock,
            http=http,
            changes=changes,
            db=db,
            store=store,
            engine=engine,
            desk=ProbeDesk(first_version=clock.now_ms()),
            scraper=Scraper(
                writer=store,
                clock=clock,
                random=random,
                changed=changes,
                exemplars=store if config.store.max_exemplars else None,
            ),
            host=HostCollector(writer=store, clock=clock, instance=hostname, every_ms=config.host_every_ms or 15_000),
            own=SelfCollector(writer=store, clock=clock, instance=hostname),
            pushed=PushedGroups(writer=store, db=db, clock=clock),
            receiver=receiver,
            evaluator=evaluator,
            dispatcher=dispatcher,
            escalator=escalator,
            deliverer=deliverer,
            routine=Routine(
                db=db,
                clock=clock,
                random=random,
                changed=changes,
                wake_notify=deliverer.wake,
                directory_at=escalator.directory_at,
            ),
            reporter=Reporter(db=db, engine=engine, clock=clock, random=random, changed=changes, wake_notify=deliverer.wake),
            telegram=TelegramPoller(clock=clock, http=http, command=escalator.command),
            slack_socket=SocketMode(clock=clock, http=http, random=random),
            receipts=ReceiptPoller(db=db, clock=clock, http=http, command=escalator.command, report=deliverer.report),
            forwarder=forwarder,
            remote_write=RemoteWriter(
                source=Outgoing(store),
                folder=store_path / "remote",
                clock=clock,
                random=random,
                http_with=lambda settings: ConfiguredHttp(http, settings, now_ms=clock.now_ms),
            ),
            alertmanagers=AlertmanagerFinder(clock=clock, found=forwarder.apply),
            watch_host=config.host_every_ms > 0,
            dead_man=DeadMan(clock=clock, http=http, broken=lambda: alive.broken(core)),
            started_ms=clock.now_ms(),
        )
        return core

    def apply_paging(self, config: Config) -> None:
        """People and routes: what an alert needs to become a page. No stage here asks the store."""
        self.egress = (config.egress_allow, config.egress_deny)
        if isinstance(self.http, RealHttp):
            self.http.egress = EgressRules(parse_networks(config.egress_allow), parse_networks(config.egress_deny))
        self.deliverer.apply(config.channels)
        self.escalator.apply(config.directory)
        self.dispatcher.apply(config.routing)

    def apply(self, config: Config) -> None:
        """Hand every stage its own part of a configuration; people and routes first, so that no alert meets an old tree."""
        self.apply_paging(config)
        self.routine.apply(handoff=config.handoff, drill=config.drill, ways=ways(config.channels))
        self.reporter.apply(report_settings(config), config.directory)
        self.receiver.apply(config.checks)
        self.replan()
        self.evaluator.apply(config.rule_groups)
        self.store.apply(config.store)
        self.scraper.keep_exemplars(self.store if config.store.max_exemplars else None)
        self.scraper.apply(config.jobs)
        self.telegram.apply(config.channels)
        self.slack_socket.apply(config.channels)
        self.receipts.apply(config.channels)
        self.forwarder.apply((), config.external_labels)
        self.alertmanagers.apply(config.alertmanagers)
        self.remote_write.apply(config.remote_write, config.external_labels)
        self.dead_man.apply(config.dead_man_url, config.dead_man_every_ms)
        self.changes("config")

    def replan(self) -> None:
        """Tell the probes what to run; checks that somebody paused are marked in it."""
        allow, deny = self.egress
        self.desk.apply(self.receiver.plan(), allow=allow, deny=deny)

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What runs for as long as the core does."""
        return {
            "dead man": self.dead_man.run,
            "store": self.store.run,
            **({"disk reserve": partial(reserve.run, self.clock)} if (reserve := self.db.reserve) else {}),
            "scrape": self.scraper.run,
            **({"host": self.host.run} if self.watch_host else {}),
            "self": self.own.run,
            "pushed": self.pushed.run,
            "checks": self.receiver.run,
            "rules": self.evaluator.run,
            "alerts": self.dispatcher.run,
            "incidents": self.escalator.run,
            "notify": self.deliverer.run,
            "routine": self.routine.run,
            "reports": self.reporter.run,
            "telegram": self.telegram.run,
            "slack socket": self.slack_socket.run,
            "receipts": self.receipts.run,
            "remote write": self.remote_write.run,
            "alertmanagers": self.forwarder.run,
            "alertmanager discovery": self.alertmanagers.run,
        }


def _wake(escalator: Escalator, deliverer: Deliverer) -> None:
    escalator.wake()
    deliverer.wake()


async def run_core(settings: ServeSettings, pulse: Pulse, _listener: socket.socket) -> None:
    """Build the core, answer on its socket, run until SIGTERM."""
    clock, random = SystemClock(), SystemRandom()
    phases = Phases(clock)
    lock = await asyncio.to_thread(core_lock, settings.data_dir)
    phases.done("lock")
    db = await asyncio.to_thread(open_state, settings.data_dir)
    phases.done("state")
    configuration = Configuration(settings=settings, db=db, clock=clock)
    config = await configuration.first()
    phases.done("configuration")
    core = Core.build(
        db=db,
        store_path=settings.store_path,
        config=config,
        clock=clock,
        random=random,
        http=RealHttp(),
        smtp=RealSmtp(),
        hostname=socket.gethostname(),
    )
    core.restarts = pulse.restarts
    build_info.set(1, __version__)
    commands = command_table(core=core, configuration=configuration, settings=settings, random=random)
    loops = {**core.loops(), "configuration": configuration.run}
    store_open = asyncio.Event()
    server = _server(settings, core, waiting(commands, store_open))
    phases.done("build")
    core.apply_paging(config)
    await _welcome(configuration, commands, pulse)
    tasks = [asyncio.create_task(supervise(name, loops.pop(name)), name=name) for name in _PAGING]
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    settings.core_socket.chmod(0o600)
    phases.done("paging")
    # The log of the store may be long: what is known already is paged, escalated and acknowledged meanwhile.
    await asyncio.to_thread(_open_store, core)
    phases.done("store")
    core.apply(config)
    configuration.on_change(core.apply, refused=lambda: core.changes("config"))
    tasks += [asyncio.create_task(supervise(name, run), name=name) for name, run in loops.items()]
    store_open.set()
    phases.done("rules")
    phases.say()
    pulse.ready()
    await _until_told_to_stop(configuration)
    await _drain(core)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    core.desk.close()
    core.changes.close()
    server.should_exit = True
    await serving
    await asyncio.to_thread(core.store.close)
    await asyncio.to_thread(db.close)
    os.close(lock)


async def _drain(core: Core) -> None:
    """Let messages that are on their way come to their answers, so that the next start repeats none of them."""
    try:
        if left := await core.deliverer.drain(_DRAIN_S):
            log.warning("ended before some providers answered; these messages are sent again, marked", notifications=left)
    except (StateError, SQLAlchemyError) as error:
        log.error("cannot hand back what was being sent", error=str(error))


def _open_store(core: Core) -> None:
    """On a full disk the reserve makes room for the files that a store begins with."""

    def attempt() -> None:
        try:
            core.store.open()
        except OSError:
            core.store.abandon()
            raise

    core.db.reserve.helped(attempt) if core.db.reserve else attempt()


def core_lock(data_dir: Path) -> int:
    """Wait for a former core to end (its parent may have been killed a moment ago); two cores never run on one folder."""
    fd = os.open(data_dir / "core.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        raise StateError(f"cannot lock {data_dir}: {error}") from None
    return fd


def migrate(data_dir: Path) -> None:
    """Create or upgrade the state as a core does, and nothing else."""
    lock = core_lock(data_dir)
    try:
        open_state(data_dir).close()
    finally:
        os.close(lock)


async def _welcome(configuration: Configuration, commands: Mapping[str, CommandHandler], pulse: Pulse) -> None:
    """Tell the person at the console how to get in, and what is missing."""
    if pulse.restarts:
        return
    await ensure_admin(configuration.db, configuration.clock)
    link = await commands["signin.link"]({"account": "admin"}, SYSTEM)
    pulse.say(f"Sign in (once, within 15 minutes): {link['url']}")
    if configuration.config.nobody_paged:
        pulse.say("Nobody is paged yet: add `users:` with an e-mail address or a Slack webhook to tocsin.yaml")
    elif not configuration.config.dead_man_url:
        pulse.say("Nobody would notice if this machine died: give `dead_man:` an address elsewhere (docs/how-to/dead-man.md)")


def _server(settings: ServeSettings, core: Core, commands: Mapping[str, CommandHandler]) -> EmbeddedServer:
    settings.core_socket.unlink(missing_ok=True)
    return core_server(core_app(commands, ingest_table(core), core.changes), settings.core_socket)


async def _until_told_to_stop(configuration: Configuration) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the parent decides
    loop.add_signal_handler(signal.SIGHUP, configuration.reload_soon)
    await stop.wait()
