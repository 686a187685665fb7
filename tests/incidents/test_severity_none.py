"""What fires on purpose all the time (severity `none`: Watchdog, InfoInhibitor) is told to places and is nobody's work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from tests.fakes.house import HOOK_URL, House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.errors import Place
from tocsin.incidents.analytics import analytics
from tocsin.incidents.due import COUNTS
from tocsin.incidents.people import Directory
from tocsin.incidents.rows import OPEN
from tocsin.model.alert import PageReason
from tocsin.model.ports import HttpResponse
from tocsin.model.route import Destination, Receiver
from tocsin.state.schema import incidents

WATCHDOG = alert("Watchdog", severity="none")
SECONDS = 1


def places(*, with_policy: bool = False) -> Directory:
    people = directory(person("ana"), policy=policy(["ana"]))
    hook = Destination("webhook", {"url": f"{HOOK_URL}/watchdog"})
    made = Receiver("web", (hook,), "web" if with_policy else "", Place("tocsin.yaml", 3))
    return replace(people, receivers={"web": made})


def test_it_is_delivered_with_its_repeats_and_listed_nowhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(places(), tmp_path / "s.db").running() as h:
            await h.page(page(WATCHDOG))
            await h.wait(SECONDS)
            for _ in range(3):
                await h.page(page(WATCHDOG, reason=PageReason.REPEAT))
                await h.wait(SECONDS)
            told = [orjson.loads(request.body) for request in h.http.requests]
            assert [body["notification_reason"] for body in told] == ["first notification"] + ["repeat interval elapsed"] * 3
            assert h.incidents("open") == h.incidents("all") == []
            assert h.db.read_now(lambda tx: COUNTS.all(tx, states=list(OPEN))) == []
            day = (h.clock.now_ms() - 3_600_000, h.clock.now_ms() + 3_600_000)
            assert h.db.read_now(lambda tx: analytics(tx, *day))["severities"] == []
            assert h.detail(1)["why"][0]["told"] and [row["incident"] for row in h.log()] == [1] * 4

    run_virtual(story())


def test_it_is_work_as_soon_as_something_graver_joins_its_group(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(places(), tmp_path / "s.db").running() as h:
            await h.page(page(WATCHDOG))
            await h.page(page(WATCHDOG, alert("Plain", severity=""), reason=PageReason.NEW_ALERTS))
            await h.wait(SECONDS)
            assert [row["number"] for row in h.incidents("open")] == [1]

    run_virtual(story())


def test_a_route_that_pages_people_for_it_is_taken_at_its_word(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(places(with_policy=True), tmp_path / "s.db").running() as h:
            await h.page(page(WATCHDOG))
            await h.wait(SECONDS)
            assert h.mails_to("ana") == 1 and len(h.incidents("open")) == 1

    run_virtual(story())


@pytest.mark.parametrize("severity", ["none", "info"])
def test_nobody_is_woken_because_its_place_does_not_answer(tmp_path: Path, severity: str) -> None:
    async def story() -> None:
        async with House(places(), tmp_path / "s.db").running() as h:
            h.http.default = HttpResponse(400, {}, b"no")
            await h.page(page(alert("Watchdog", severity=severity)))
            await h.wait(120)
            assert h.mails_to("ana") == (0 if severity == "none" else 1)
            assert "undelivered" in h.story(1)

    run_virtual(story())


def test_rows_of_before_are_listed(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(places(), tmp_path / "s.db").running() as h:
            await h.page(page(alert()))
            assert h.db.read_now(lambda tx: tx.execute(sa.select(incidents.c.listed)).scalars().all()) == [True]

    run_virtual(story())
