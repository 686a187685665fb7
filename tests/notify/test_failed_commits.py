"""A disk that refuses the claim of messages costs time, not places in a provider's lane."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.fakes.house import HOOK_URL, House, alert, directory, page
from tests.fakes.virtual import run_virtual

from tocsin.model.route import Destination
from tocsin.state.sql import create_engine


class _Connection(sqlite3.Connection):
    refused = 0

    def commit(self) -> None:
        if _Connection.refused and self.in_transaction:
            _Connection.refused -= 1
            self.rollback()
            raise sqlite3.OperationalError("database or disk is full")
        super().commit()


def test_claims_that_were_never_committed_do_not_fill_the_lane(tmp_path: Path) -> None:
    house = House(directory(destinations=(Destination("webhook", {"url": HOOK_URL}),)), tmp_path / "state.db")
    path = tmp_path / "state.db"
    house.db.close()
    house.db.engine = create_engine(
        f"sqlite:///{path}", connect=lambda: sqlite3.connect(path, check_same_thread=False, factory=_Connection)
    )

    async def story() -> None:
        async with house.running():
            await house.page(page(alert()))
            _Connection.refused = 12  # more than the lane has places
            await house.wait(120)

    run_virtual(story())
    assert [note["state"] for note in house.log()] == ["delivered"]
    assert [lane["in_flight"] for lane in house.deliverer.lanes().values()] == [0]
