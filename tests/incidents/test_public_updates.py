"""What responders publish of an incident goes through the same door as every command: timeline, reasons, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import START_MS, run_virtual

from tocsin.errors import CommandError
from tocsin.incidents import publish

FIRST = {"page": "shop", "state": "investigating", "title": "Orders fail", "text": "We look."}


def test_a_public_update_stands_in_the_timeline_and_pages_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            before = h.detail()["version"]
            await h.command("publish", **FIRST)
            await h.command("publish", **{**FIRST, "title": "", "state": "resolved", "text": "Over."})
            told = h.db.read_now(lambda tx: publish.stories(tx, "shop", START_MS + 3_600_000))
            assert [(update.state, update.title) for update in told[0].updates] == [
                ("resolved", "Orders fail"),
                ("investigating", "Orders fail"),
            ]
            await h.command("withdraw", update=told[0].updates[0].id)
            assert h.story().count("published") == 2 and "withdrawn" in h.story()
            detail = h.detail()
            assert detail["state"] == "triggered" and detail["version"] == before, "the page is not the incident"

    run_virtual(story())


@pytest.mark.parametrize("wrong", [{"state": "gone"}, {"title": ""}, {"text": " "}, {"page": ""}, {"page": 7}], ids=str)
def test_an_update_that_cannot_be_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    async def story() -> None:
        async with House(directory(person("ana"), policy=policy(["ana"])), tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            with pytest.raises(CommandError) as caught:
                await h.command("publish", **{**FIRST, **wrong})
            assert caught.value.status == 422
            assert "published" not in h.story()

    run_virtual(story())
