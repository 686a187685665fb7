"""The history of an alert says which incident each of its firings belonged to; absorbed incidents are found by a column."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from tests.fakes.house import House, alert, directory, page, person, policy
from tests.fakes.virtual import run_virtual

from tocsin.incidents import rows
from tocsin.model.alert import Alert, PageReason
from tocsin.state.schema import episodes


def begin(h: House, given: Alert) -> None:
    """What the dispatcher writes before it hands the page on."""
    values = {
        "fingerprint": given.fingerprint,
        "labels": dict(given.labels.pairs),
        "annotations": {},
        "starts_at_ms": given.starts_at_ms,
    }
    h.db.write_now(lambda tx: tx.execute(sa.insert(episodes).values(**values, ends_at_ms=0)))


def test_each_firing_names_its_incident(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana", "email"), policy=policy(["ana"]))
        async with House(people, tmp_path / "state.db").running() as h:
            first = alert(instance="a", starts_at_ms=5)
            begin(h, first)
            await h.page(page(first))
            await h.wait(5)
            await h.page(
                page(resolved=[alert(instance="a", starts_at_ms=5, ends_at_ms=h.clock.now_ms())], reason=PageReason.ALL_RESOLVED)
            )
            await h.wait(7200)
            again = alert(instance="a", starts_at_ms=h.clock.now_ms())
            begin(h, again)
            await h.page(page(again))
            found = h.db.read_now(lambda tx: tx.execute(sa.select(episodes.c.starts_at_ms, episodes.c.incident)).all())
            assert [tuple(row) for row in found] == [(5, 1), (again.starts_at_ms, 2)]

    run_virtual(story())


def test_what_a_storm_absorbed_is_its_family(tmp_path: Path) -> None:
    async def story() -> None:
        people = directory(person("ana", "email"), policy=policy(["ana"]))
        async with House(people, tmp_path / "state.db").running() as h:
            for n in range(26):
                await h.page(page(alert(f"A{n}"), group=f"g{n}"))
            storm = next(row for row in h.incidents("open") if row["title"].startswith("Storm:"))
            family = h.db.read_now(lambda tx: rows.family(tx, storm["number"]))
            assert len(family) == 7 and family[0] == storm["number"]
            states = {row["number"]: row["state"] for row in h.incidents("all")}
            assert {states.get(number, "merged") for number in family[1:]} == {"merged"}

    run_virtual(story())
