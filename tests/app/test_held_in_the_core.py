"""What `If-Match` named is compared where the thing is changed: who was late by a moment changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from tests.collect.fakes import MemoryWriter
from tests.fakes.house import WEB, House, alert, directory, page, person, policy
from tests.fakes.virtual import START_MS, VirtualClock, run_virtual

from tocsin.alerts.dispatch import Dispatcher
from tocsin.alerts.silence import silence_mark
from tocsin.app.commands import _Handlers
from tocsin.app.status import CheckRows, check_rows
from tocsin.collect.catalog import parse_check
from tocsin.collect.receive import CheckReceiver
from tocsin.errors import CommandError
from tocsin.model.check import CheckState
from tocsin.model.labels import Matcher, MatchOp
from tocsin.model.route import Silence
from tocsin.random import SystemRandom
from tocsin.state.marks import check_mark
from tocsin.state.schema import accounts, metadata, silences
from tocsin.state.sql import Database, sqlite_url
from tocsin.web.accounts import account_mark
from tocsin.web.commands import commands

PLANNED = Silence("", (Matcher("alertname", MatchOp.EQUAL, "Down"),), START_MS, START_MS + 60_000, "ana", "planned")


def database(folder: Path) -> Database:
    db = Database(sqlite_url(folder / "state.db"), inline=True)
    metadata.create_all(db.engine)
    return db


async def is_late(doing: Awaitable[Any]) -> None:
    with pytest.raises(CommandError) as caught:
        await doing
    assert (caught.value.status, caught.value.code) == (412, "changed_meanwhile")


def test_a_silence(tmp_path: Path) -> None:
    db = database(tmp_path)
    dispatcher = Dispatcher(db=db, sink=lambda *_: None, clock=VirtualClock(), changed=lambda *_: None)

    async def story() -> None:
        made = replace(PLANNED, id=await dispatcher.set_silence(PLANNED))
        longer = replace(made, ends_at_ms=made.ends_at_ms + 1)
        assert await dispatcher.set_silence(longer, seen=[silence_mark(made)]) == made.id
        await is_late(dispatcher.set_silence(replace(made, comment="mine"), seen=[silence_mark(made)]))
        await is_late(dispatcher.expire_silence(made.id, seen=["other", silence_mark(made)]))
        [row] = db.read_now(lambda tx: tx.execute(sa.select(silences)).all())
        assert (row.comment, row.ends_at_ms) == ("planned", longer.ends_at_ms)
        await dispatcher.expire_silence(made.id, seen=[silence_mark(longer)])

    run_virtual(story())
    db.close()


def test_an_incident(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "s.db").running() as house:
            await house.page(page(alert()))
            await house.wait(1)
            version = house.incidents()[0]["version"]
            await house.command("remediation", cause="a disk", seen=[str(version)])
            for command in ("remediation", "acknowledge", "resolve"):
                await is_late(house.command(command, cause="x", seen=[str(version)]))
            assert (house.incidents()[0]["state"], house.detail(1)["remediation"]["cause"]) == ("triggered", "a disk")
            await house.command("acknowledge")

    run_virtual(story())


async def test_an_account_with_all_that_is_changed_at_once(tmp_path: Path) -> None:
    db = database(tmp_path)
    table = commands(db, SimpleNamespace(now_ms=lambda: START_MS), SystemRandom())
    await table["account.create"]({"name": "ben", "role": "viewer"}, WEB)

    def row() -> Any:
        return db.read_now(lambda tx: tx.execute(sa.select(accounts)).one())

    seen = [account_mark(row())]
    changed = {"name": "ben", "changes": {"full_name": "Ben"}, "password_hash": "h", "seen": seen}
    await table["account.update"](changed, WEB)
    assert (row().full_name, row().password_hash) == ("Ben", "h")
    await is_late(table["account.update"]({**changed, "password_hash": "other"}, WEB))
    with pytest.raises(CommandError, match="role"):
        await table["account.update"]({"name": "ben", "changes": {"role": "king"}, "password_hash": "other"}, WEB)
    assert row().password_hash == "h", "all of it, or nothing"
    db.close()


async def test_a_check(tmp_path: Path) -> None:
    db, clock = database(tmp_path), VirtualClock()
    spec = parse_check({"name": "Shop", "http": "http://shop.example/health", "labels": {"team": "web"}})
    receiver = CheckReceiver(writer=MemoryWriter(), db=db, clock=clock, changed=lambda *_: None, confirmed=lambda _: None)
    receiver.apply([spec])
    removed: list[str] = []

    async def remove_check(check_id: str, _actor: Any) -> bool:
        removed.append(check_id)
        return True

    core: Any = SimpleNamespace(receiver=receiver, replan=lambda: None)
    configuration: Any = SimpleNamespace(config=SimpleNamespace(checks=[spec]), remove_check=remove_check)
    handlers = _Handlers(core, configuration, None)  # type: ignore[arg-type]

    def seen() -> list[str]:
        """As the web process has it: over the wire."""
        return [check_mark(orjson.loads(orjson.dumps(row))) for row in check_rows([spec], receiver.statuses())]

    kept = CheckRows()
    assert kept.of([spec], receiver.statuses()) == kept.of([spec], receiver.statuses()) == check_rows([spec], receiver.statuses())
    before = seen()
    await handlers.check_pause({"id": spec.id, "seen": before}, WEB)
    assert seen() != before and receiver.status(spec.id).state is CheckState.PAUSED
    await is_late(handlers.check_pause({"id": spec.id, "seen": before}, WEB))
    await is_late(handlers.check_remove({"id": spec.id, "seen": before}, WEB))
    assert removed == []
    await handlers.check_remove({"id": spec.id, "seen": seen()}, WEB)
    assert removed == [spec.id]
    db.close()
