"""Dashboards that people save: `board.set | remove`. They are kept as they were sent and read like a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from tocsin.bus.wire import Args, CommandHandler
from tocsin.clock import Clock
from tocsin.errors import CommandError
from tocsin.model.event import Actor, deed
from tocsin.model.ports import Changed
from tocsin.state import events
from tocsin.state.marks import hold_version
from tocsin.state.schema import boards
from tocsin.state.sql import Database
from tocsin.web.boards.board import Dashboard

MOST_BOARDS = 500
_c = boards.c


class BoardCommands:
    """What the core does to saved dashboards."""

    def __init__(self, db: Database, clock: Clock, changed: Changed) -> None:
        self._db = db
        self._clock = clock
        self._changed = changed

    def table(self) -> Mapping[str, CommandHandler]:
        return {"board.set": self.set, "board.remove": self.remove}

    async def set(self, args: Args, actor: Actor) -> Any:
        """{board, name?, version?} -> {name}: a new dashboard, or another text for the one named (it may take another name).

        Raises CommandError 404, 409 for a name that is taken, 412, 422.
        """
        try:
            board = Dashboard.model_validate(args["board"])
        except ValidationError as error:
            told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in error.errors(include_url=False)]
            raise CommandError(422, "bad_board", "; ".join(told)) from None
        document = board.model_dump(mode="json", exclude_defaults=True)
        old = str(args.get("name", ""))

        def work(tx: Connection, now_ms: int) -> None:
            before = _row(tx, old, args.get("version")) if old else None
            if board.name != old and tx.execute(sa.select(_c.name).where(_c.name == board.name)).first() is not None:
                raise CommandError(409, "exists", f"there is a dashboard {board.name!r} already; give it another name")
            values = {"name": board.name, "document": document, "updated_by": actor.name, "updated_ms": now_ms}
            if before is not None:
                tx.execute(sa.update(boards).where(_c.name == old).values(**values, version=_c.version + 1))
                _record(tx, actor, "board_changed", board, "changed", now_ms, before=before.document)
                return
            if tx.execute(sa.select(sa.func.count()).select_from(boards)).scalar_one() >= MOST_BOARDS:
                raise CommandError(422, "too_many", f"at most {MOST_BOARDS} dashboards are kept here: remove some, or use files")
            tx.execute(sa.insert(boards).values(**values, created_by=actor.name, created_ms=now_ms))
            _record(tx, actor, "board_saved", board, "saved", now_ms)

        now_ms = self._clock.now_ms()
        await self._db.write(lambda tx: work(tx, now_ms))
        self._changed("dashboards", board.name)
        return {"name": board.name}

    async def remove(self, args: Args, actor: Actor) -> Any:
        """{name, version?}. Raises CommandError 404, 412."""
        name, now_ms = str(args["name"]), self._clock.now_ms()

        def work(tx: Connection) -> None:
            row = _row(tx, name, args.get("version"))
            tx.execute(sa.delete(boards).where(_c.name == name))
            board = Dashboard.model_validate(row.document)
            _record(tx, actor, "board_removed", board, "removed", now_ms, before=row.document)

        await self._db.write(work)
        self._changed("dashboards", name)
        return {}


def saved_boards(tx: Connection) -> dict[str, tuple[Dashboard, int]]:
    """By name: the dashboard and its version, in the order of their titles."""
    rows = [(Dashboard.model_validate(row.document), row.version) for row in tx.execute(sa.select(boards))]
    return {board.name: (board, version) for board, version in sorted(rows, key=lambda row: (row[0].title, row[0].name))}


def _row(tx: Connection, name: str, version: Any) -> Any:
    row = tx.execute(sa.select(boards).where(_c.name == name)).first()
    if row is None:
        raise CommandError(404, "no_such_dashboard", "only dashboards that were saved here can be changed here; edit the file")
    hold_version(version, row.version, "dashboard")
    return row


def _record(tx: Connection, actor: Actor, verb: str, board: Dashboard, word: str, now_ms: int, **data: Any) -> None:
    text = f"{actor.name} {word} the dashboard {board.title}"
    events.record(tx, deed(now_ms, actor, verb, f"dashboard:{board.name}", text, **data))
