"""SIGTERM while messages are on their way: what a provider took is written down, the rest is handed back at once."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from tests.fakes.house import HOOK_URL, House, alert, directory, page
from tests.fakes.virtual import run_virtual

from tocsin.model.route import Destination
from tocsin.state.schema import notifications


def _house(tmp_path: Path) -> House:
    return House(directory(destinations=(Destination("webhook", {"url": HOOK_URL}),)), tmp_path / "state.db")


def test_an_answer_that_comes_in_time_is_written_down(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.http.latency_s = 2.0

    async def story() -> None:
        async with house.running():
            await house.page(page(alert()))
            await house.wait(1)
            assert await house.deliverer.drain(5.0) == 0
            assert [note["state"] for note in house.log()] == ["delivered"]
            await house.page(page(alert("Later"), group="later"))
            await house.wait(60)
            assert len(house.http.requests) == 1, "nothing more is begun"

    run_virtual(story())


def test_what_got_no_answer_is_handed_back_as_a_possible_repeat(tmp_path: Path) -> None:
    house = _house(tmp_path)
    house.http.answers.append("hang")

    async def story() -> None:
        async with house.running():
            await house.page(page(alert()))
            await house.wait(1)
            assert await house.deliverer.drain(5.0) == 1
            row = house.db.read_now(lambda tx: tx.execute(sa.select(notifications)).one())
            assert (row.state, row.possible_repeat, row.lease_owner, row.due_at_ms) == (
                "pending", True, "", house.clock.now_ms(),
            )  # fmt: skip

    run_virtual(story())
