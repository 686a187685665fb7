"""The audit, asked for by who did it, what was done, what about and when."""

from __future__ import annotations

import pytest

from tocsin.model.event import Event
from tocsin.state import events

API = "/api/tocsin/v1/audit"
LINES = (
    Event(1_000, "user:ana", "silenced", "silence:1", "ana silenced db-7"),
    Event(2_000, "system:escalate", "escalated", "incident:7", "paged ben"),
    Event(3_000, "user:ben", "acknowledged", "incident:7", "ben acknowledged 100 % of it"),
    Event(4_000, "integration:slack", "noted", "incident:8", "rolled back"),
)


@pytest.fixture
async def admin(house):
    await house.db.write(lambda tx: events.record(tx, *LINES))
    return await house.as_role("admin")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("by=people", ["noted", "acknowledged", "silenced"]),
        ("by=tocsin", ["escalated"]),
        ("verb=silenced,noted", ["noted", "silenced"]),
        ("q=incident:7", ["acknowledged", "escalated"]),
        ("q=BEN", ["acknowledged", "escalated"]),
        ("q=%25", ["acknowledged"]),
        ("from=2000&to=3000", ["acknowledged", "escalated"]),
        ("by=people&q=ben&to=1970-01-01T00:00:03Z", ["acknowledged"]),
        ("q=nothing+like+it", []),
    ],
)
async def test_only_what_is_asked_for_comes_newest_first(admin, query, found):
    rows = (await admin.get(f"{API}?to=9999&{query}" if "to=" not in query else f"{API}?{query}")).json()["events"]
    assert [row["verb"] for row in rows] == found


async def test_pages_go_on_within_the_filter(admin):
    first = (await admin.get(f"{API}?by=people&to=9999&limit=2")).json()
    assert [row["verb"] for row in first["events"]] == ["noted", "acknowledged"]
    rest = (await admin.get(f"{API}?by=people&to=9999&limit=2&cursor={first['next']}")).json()
    assert [row["verb"] for row in rest["events"]] == ["silenced"] and rest["next"] == ""


async def test_a_filter_that_says_nothing_is_refused_with_advice(admin):
    refused = await admin.get(f"{API}?by=robots")
    assert refused.status == 400 and "expected people or tocsin" in refused.json()["detail"]
    assert (await admin.get(f"{API}?from=yesterday")).status == 422
