"""The configuration in force: read at the start, watched, replaced only by one without errors, kept for the next start.

files ──read──▶ Sources ──build──▶ Config ──+ checks added in the dashboard──▶ applied to the stages
   ▲ change, SIGHUP, /-/reload      │ errors: the old one stays, the problems are shown
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from tocsin.app.preflight import LAST_GOOD
from tocsin.app.settings import ServeSettings
from tocsin.clock import Clock
from tocsin.collect.catalog import parse_check
from tocsin.config.additions import Addition, build_with, left_out
from tocsin.config.config import Config, with_checks, with_contacts
from tocsin.config.declared import declared_windows, with_maintenance
from tocsin.config.next_start import from_next_start
from tocsin.config.sources import Signature, Sources, read_sources, signature
from tocsin.errors import ConfigError, Problem
from tocsin.incidents import contacts, quiethours
from tocsin.log import get_log
from tocsin.metrics import Gauge
from tocsin.model.check import CheckSpec
from tocsin.model.event import SYSTEM, Actor, Event
from tocsin.model.route import MaintenanceWindow
from tocsin.state import events
from tocsin.state.schema import additions as addition_table
from tocsin.state.schema import declared_checks
from tocsin.state.sql import Database

log = get_log("config")

reload_ok = Gauge("tocsin_config_last_reload_successful", "1 when the newest configuration files are in force.")
reload_at = Gauge("tocsin_config_last_reload_success_timestamp_seconds", "When the configuration in force was read.")

_LOOK_S = 1.0


class Configuration:
    """Owns the configuration of the running core."""

    def __init__(self, *, settings: ServeSettings, db: Database, clock: Clock) -> None:
        self._settings = settings
        self.db = db
        self.clock = clock
        self._apply: Callable[[Config], None] = lambda config: None
        self._refused: Callable[[], None] = lambda: None
        self._reload_now = asyncio.Event()
        self._from_files: Config
        self._started_with: Config
        self._declared: list[CheckSpec] = []
        self._additions: tuple[Addition, ...] = ()
        self._contacts: tuple[contacts.Stored, ...] = ()
        self._quiet: tuple[quiethours.Stored, ...] = ()
        self._windows: tuple[MaintenanceWindow, ...] = ()
        self._seen: Signature = ()
        self.problems: list[Problem] = []
        self.loaded_ms = 0
        self.config: Config

    @property
    def _last_good_path(self) -> Any:
        return self._settings.data_dir / LAST_GOOD

    async def first(self) -> Config:
        """The configuration to start with: the files, or (said loudly) the last good one when the files are wrong now.

        Raises ConfigError when the files are wrong and there is no last good one.
        """
        self._declared = await self._read_declared()
        self._contacts = await self.db.read(contacts.stored)
        self._quiet = await self.db.read(quiethours.stored)
        self._windows = await self.db.read(declared_windows)
        self._additions = await self.db.read(stored_additions)
        try:
            self._from_files = await asyncio.to_thread(self._read)
        except ConfigError as error:
            self.problems = error.problems
            for problem in error.problems:
                log.error("configuration refused; starting with the last good one", problem=str(problem))
            try:
                kept = await asyncio.to_thread(self._last_good_path.read_bytes)
            except OSError:
                raise error from None
            last_good = Sources.from_json(kept)
            self._from_files = await asyncio.to_thread(build_with, last_good, self._additions, address=self._settings.reachable)
            reload_ok.set(0)
        self._started_with = self._from_files
        self._in_force()
        return self.config

    def on_change(self, apply: Callable[[Config], None], *, refused: Callable[[], None]) -> None:
        """Call `apply` with every new configuration, `refused` when the files have problems."""
        self._apply = apply
        self._refused = refused

    def reload_soon(self) -> None:
        """SIGHUP."""
        self._reload_now.set()

    async def run(self) -> None:
        """Look for changed files every second; a change must be quiet for one look, so that half a file is not read."""
        previous = self._seen
        while True:
            try:
                await asyncio.wait_for(self._reload_now.wait(), _LOOK_S)
                forced = True
            except TimeoutError:
                forced = False
            self._reload_now.clear()
            now = await asyncio.to_thread(signature, self.config.watched)
            if forced or (now != self._seen and now == previous):
                await self.reload(SYSTEM)
            previous = now

    async def reload(self, actor: Actor) -> list[Problem]:
        """Read the files again; returns the problems (empty = in force now). The old configuration stays where there are any."""
        try:
            config = await asyncio.to_thread(self._read)
        except ConfigError as error:
            self.problems = error.problems
            self._seen = await asyncio.to_thread(signature, self.config.watched)
            reload_ok.set(0)
            for problem in error.problems:
                log.error("configuration refused, the old one stays in force", problem=str(problem))
            self._refused()
            await self._record(actor, "config_refused", "configuration refused, the old one stays: " + str(error.problems[0]))
            return error.problems
        later = from_next_start(self._started_with, config)
        for problem in later:
            log.warning("a setting counts from the next start", problem=str(problem))
        self._from_files = dataclasses.replace(config, warnings=(*config.warnings, *later))
        self.problems = []
        self._in_force()
        self._apply(self.config)
        await self._record(actor, "config_loaded", f"configuration loaded from {', '.join(config.files) or 'defaults'}")
        return []

    # -- checks of the dashboard --------------------------------------------------------------------------------------

    async def add_check(self, raw: dict[str, Any], spec: CheckSpec, actor: Actor) -> None:
        """Keep a check that a person added, and start it."""

        await self.db.write(lambda tx: _declare(tx, raw, spec, actor, self.clock.now_ms()))
        await self._declared_changed()

    async def remove_check(self, check_id: str, actor: Actor) -> bool:
        """False when no person added such a check."""

        def work(tx: Connection) -> bool:
            gone = tx.execute(sa.delete(declared_checks).where(declared_checks.c.id == check_id)).rowcount
            if gone:
                now_ms = self.clock.now_ms()
                events.record(
                    tx, Event(now_ms, str(actor), "check_removed", f"check:{check_id}", f"{actor.name} removed {check_id}")
                )
            return bool(gone)

        removed = await self.db.write(work)
        if removed:
            await self._declared_changed()
        return removed

    async def _declared_changed(self) -> None:
        self._declared = await self._read_declared()
        self._apply_added()

    async def contacts_changed(self) -> None:
        """People added, verified or removed contact methods of their own, or changed their quiet hours."""
        self._contacts = await self.db.read(contacts.stored)
        self._quiet = await self.db.read(quiethours.stored)
        self._apply_added()

    async def maintenance_changed(self) -> None:
        """Planned work of the dashboard was made, changed, ended or removed."""
        self._windows = await self.db.read(declared_windows)
        self._apply_added()

    # -- imports of the dashboard -------------------------------------------------------------------------------------

    @property
    def additions(self) -> tuple[Addition, ...]:
        return self._additions

    async def try_addition(self, addition: Addition) -> Config:
        """The configuration as it would be with it; nothing is taken over. Raises ConfigError where it does not go with it."""
        with_it = (*self._additions, addition)
        config = await asyncio.to_thread(self._read, with_it, keep=False)
        if left := left_out(config, addition):
            raise ConfigError(left)
        return config

    async def add(self, addition: Addition | None, checks: Sequence[tuple[dict[str, Any], CheckSpec]], actor: Actor) -> None:
        """Keep what was imported, in one transaction, and put it in force."""
        now_ms = self.clock.now_ms()

        def work(tx: Connection) -> None:
            if addition is not None:
                row = dataclasses.asdict(addition) | {"created_by": actor.name, "created_ms": now_ms}
                tx.execute(sa.insert(addition_table).values(**row))
                text = f"{actor.name} added {addition.title}"
                events.record(tx, Event(now_ms, str(actor), "imported", f"addition:{addition.id}", text))
            for raw, spec in checks:
                _declare(tx, raw, spec, actor, now_ms)

        await self.db.write(work)
        await self._additions_changed()

    async def remove_addition(self, addition_id: str, actor: Actor) -> bool:
        """False when there is none of that id."""
        found = next((one for one in self._additions if one.id == addition_id), None)
        if found is None:
            return False

        def work(tx: Connection) -> None:
            tx.execute(sa.delete(addition_table).where(addition_table.c.id == addition_id))
            text = f"{actor.name} removed {found.title}"
            events.record(tx, Event(self.clock.now_ms(), str(actor), "import_removed", f"addition:{addition_id}", text))

        await self.db.write(work)
        await self._additions_changed()
        return True

    async def _additions_changed(self) -> None:
        self._declared = await self._read_declared()
        self._additions = await self.db.read(stored_additions)
        try:
            self._from_files = await asyncio.to_thread(self._read)
        except ConfigError as error:
            # The files are wrong just now, and the old ones in force: what was added counts once they are right.
            self.problems = error.problems
            self._refused()
            return
        self._in_force()
        self._apply(self.config)

    def _apply_added(self) -> None:
        self.config = self._with_added()
        self._apply(self.config)

    def _with_added(self) -> Config:
        """The files with what people added in the dashboard."""
        config = with_contacts(with_checks(self._from_files, self._declared), self._contacts, self._quiet)
        return with_maintenance(config, self._windows)

    async def _read_declared(self) -> list[CheckSpec]:
        rows = await self.db.read(lambda c: c.execute(sa.select(declared_checks).order_by(declared_checks.c.created_ms)).all())
        specs = []
        for row in rows:
            try:
                specs.append(parse_check(row.spec, source="ui"))
            except ValidationError as error:
                log.error("a check of the dashboard is not valid any more", check=row.id, error=str(error))
        return specs

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _read(self, additions: Sequence[Addition] | None = None, *, keep: bool = True) -> Config:
        """The files with these additions (None = those that are kept). `keep`: for a start with files that are wrong."""
        settings, added = self._settings, self._additions if additions is None else additions
        sources = read_sources(settings.config_paths, optional=settings.config_optional)
        config = build_with(sources, added, watch=settings.config_paths, address=settings.reachable, now_ms=self.clock.now_ms())
        if keep:
            self._keep_good(sources.to_json())
        return config

    def _keep_good(self, data: bytes) -> None:
        """For a start with files that are wrong. A full disk must not stop this one."""
        temporary = self._last_good_path.with_suffix(".new")
        try:
            if self._last_good_path.exists() and self._last_good_path.read_bytes() == data:
                return
            temporary.write_bytes(data)
            temporary.chmod(0o600)
            temporary.replace(self._last_good_path)
        except OSError as error:
            log.error("the configuration in force is not kept for a start with wrong files", error=str(error))

    def _in_force(self) -> None:
        self.config = self._with_added()
        self._seen = signature(self.config.watched)
        self.loaded_ms = self.clock.now_ms()
        for fault in self.config.faults:
            log.error("the configuration leaves a gap", problem=str(fault))
        if not self.problems:
            reload_ok.set(1)
        reload_at.set(self.loaded_ms / 1000)

    async def _record(self, actor: Actor, verb: str, text: str) -> None:
        event = Event(self.clock.now_ms(), str(actor), verb, "config", text)
        await self.db.write(lambda tx: events.record(tx, event))


def _declare(tx: Connection, raw: dict[str, Any], spec: CheckSpec, actor: Actor, now_ms: int) -> None:
    tx.execute(sa.insert(declared_checks).values(id=spec.id, spec=raw, created_by=actor.name, created_ms=now_ms))
    events.record(tx, Event(now_ms, str(actor), "check_added", f"check:{spec.id}", f"{actor.name} added {spec.name}"))


def stored_additions(connection: Connection) -> tuple[Addition, ...]:
    """Oldest first: a later one was judged beside those before it."""
    rows = connection.execute(sa.select(addition_table).order_by(addition_table.c.created_ms, addition_table.c.id))
    return tuple(
        Addition(row.id, row.title, row.kind, dict(row.sections), dict(row.files), row.created_by, row.created_ms) for row in rows
    )
