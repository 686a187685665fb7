"""Planned work of the dashboard: `maintenance.set | end | remove | preview`.

A window is kept as it was typed (a `maintenance` entry as it would stand in the file) and read like one, so that both obey one
set of rules; beside it stand the occurrences that somebody ended early.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from tocsin.app.configuration import Configuration
from tocsin.bus.wire import Args, CommandHandler
from tocsin.config.declared import window_of
from tocsin.errors import CommandError
from tocsin.formats.routing_json import window_to_json
from tocsin.model.event import Actor, deed
from tocsin.model.ports import Random
from tocsin.model.route import MaintenanceWindow
from tocsin.rules.derived import alert_labels
from tocsin.state import events
from tocsin.state.marks import hold_version
from tocsin.state.schema import declared_maintenance

if TYPE_CHECKING:
    from tocsin.app.core import Core

_c = declared_maintenance.c
_MOST = 500


class MaintenanceCommands:
    def __init__(self, core: Core, configuration: Configuration, random: Random) -> None:
        self._core = core
        self._configuration = configuration
        self._random = random

    def table(self) -> Mapping[str, CommandHandler]:
        return {
            "maintenance.set": self.set,
            "maintenance.end": self.end,
            "maintenance.remove": self.remove,
            "maintenance.preview": self.preview,
        }

    async def set(self, args: Args, actor: Actor) -> Any:
        """{window, id?, version?} -> {id}: a new window, or another text for the one named.

        Raises CommandError 404, 409 for a name that is taken, 412, 422.
        """
        spec, id_ = dict(args["window"]), str(args.get("id", ""))
        window = _read(spec)
        others = [known for known in self._configuration.config.routing.maintenance if not id_ or known.id != id_]
        if any(known.name == window.name for known in others):
            raise CommandError(409, "exists", f"there is a window {window.name!r} already; give it another name")

        def work(tx: Connection, now_ms: int) -> str:
            if id_:
                row = _row(tx, id_, args.get("version"))
                # Another beginning or length makes other occurrences: what was ended of the old ones says nothing of them.
                same = _read(row.spec["window"]).occurrences == window.occurrences
                values = {"spec": {"window": spec, "ended": row.spec["ended"] if same else []}, "updated_ms": now_ms}
                tx.execute(sa.update(declared_maintenance).where(_c.id == id_).values(**values, version=_c.version + 1))
                _record(
                    tx,
                    actor,
                    "maintenance_changed",
                    id_,
                    f"{actor.name} changed {window.name}",
                    now_ms,
                    before=row.spec["window"],
                )
                return id_
            if tx.execute(sa.select(sa.func.count()).select_from(declared_maintenance)).scalar_one() >= _MOST:
                raise CommandError(422, "too_many", f"at most {_MOST} windows: remove some that are over")
            new_id = str(uuid.UUID(bytes=self._random.randbytes(16), version=4))
            values = {"id": new_id, "spec": {"window": spec, "ended": []}, "created_by": actor.name}
            tx.execute(sa.insert(declared_maintenance).values(**values, created_ms=now_ms, updated_ms=now_ms))
            _record(tx, actor, "maintenance_planned", new_id, f"{actor.name} planned {window.name}", now_ms, window=spec)
            return new_id

        return {"id": await self._done(work)}

    async def end(self, args: Args, actor: Actor) -> Any:
        """{id, version?}: the occurrence that holds ends now; later ones of a recurring window stay.

        Raises CommandError 404, 409 when none holds, 412.
        """
        id_ = str(args["id"])

        def work(tx: Connection, now_ms: int) -> None:
            row = _row(tx, id_, args.get("version"))
            window = window_of(id_, row.spec)
            held = window.occurrences.holding(now_ms)
            if held is None:
                raise CommandError(409, "not_holding", f"{window.name} does not hold now; there is nothing to end")
            spec = {**row.spec, "ended": [*row.spec["ended"], [held[0], now_ms]]}
            values = {"spec": spec, "updated_ms": now_ms, "version": _c.version + 1}
            tx.execute(sa.update(declared_maintenance).where(_c.id == id_).values(**values))
            _record(tx, actor, "maintenance_ended", id_, f"{actor.name} ended {window.name}", now_ms)

        await self._done(work)
        return {}

    async def remove(self, args: Args, actor: Actor) -> Any:
        """{id, version?}: the window with all its occurrences. Raises CommandError 404, 412."""
        id_ = str(args["id"])

        def work(tx: Connection, now_ms: int) -> None:
            row = _row(tx, id_, args.get("version"))
            tx.execute(sa.delete(declared_maintenance).where(_c.id == id_))
            name = row.spec["window"].get("name", id_)
            _record(tx, actor, "maintenance_removed", id_, f"{actor.name} removed {name}", now_ms, before=row.spec["window"])

        await self._done(work)
        return {}

    async def preview(self, args: Args, _actor: Actor) -> Any:
        """{window, id?} -> {window as it is read, checks whose alerts it would hold back}. Raises CommandError 422."""
        window = _read(dict(args["window"]))
        if id_ := str(args.get("id", "")):
            known = next((one for one in self._configuration.config.routing.maintenance if one.id == id_), None)
            if known is not None and replace(known.occurrences, ended=()) == window.occurrences:
                window = replace(window, occurrences=known.occurrences)
        config = self._configuration.config
        labels = {spec.name: {**config.external_labels, **alert_labels(spec)} for spec in config.checks}
        covered = [name for name, own in labels.items() if all(matcher.matches(own) for matcher in window.matchers)]
        return {"window": window_to_json(window), "checks": covered}

    async def _done(self, work: Any) -> Any:
        """Write, then put it in force."""
        now_ms = self._core.clock.now_ms()
        answer = await self._core.db.write(lambda tx: work(tx, now_ms))
        await self._configuration.maintenance_changed()
        self._core.changes("silences")
        return answer


def _read(spec: Mapping[str, Any]) -> MaintenanceWindow:
    """Raises CommandError 422 with the place of what is wrong."""
    try:
        return window_of("", {"window": spec, "ended": []})
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in error.errors(include_url=False)]
        raise CommandError(422, "bad_window", "; ".join(told)) from None


def _row(tx: Connection, id_: str, version: Any) -> Any:
    row = tx.execute(sa.select(declared_maintenance).where(_c.id == id_)).first()
    if row is None:
        raise CommandError(
            404, "no_such_window", "only windows that were made in the dashboard can be changed there; edit the file"
        )
    hold_version(version, row.version, "window")
    return row


def _record(tx: Connection, actor: Actor, verb: str, id_: str, text: str, now_ms: int, **data: Any) -> None:
    events.record(tx, deed(now_ms, actor, verb, f"maintenance:{id_}", text, **data))
