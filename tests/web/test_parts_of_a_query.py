"""`/query/parts` over a real store."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import START_MS

PATH = "/api/tocsin/v1/query/parts"


async def test_parts_are_told_and_what_is_wrong_is_said(house: Any) -> None:
    house.add({f"__name__='jobs', i='{i}'": [1.0] * 20 for i in range(7)})
    viewer = await house.as_role("viewer")
    span = {"from_ms": START_MS - 60_000, "to_ms": START_MS}
    whole = (await viewer.post(PATH, json={"query": "count(jobs)", **span, "step_ms": 15_000})).json()
    assert (whole["series"], whole["parts"][0]["text"], whole["parts"][0]["series"]) == (1, "jobs", 7)
    assert whole["seconds"] >= whole["parts"][0]["seconds"] >= 0
    at_the_end = (await viewer.post(PATH, json={"query": "jobs", **span})).json()
    assert (at_the_end["kind"], at_the_end["series"], at_the_end["parts"]) == ("selector", 7, [])
    wrong = await viewer.post(PATH, json={"query": "count(", **span})
    assert (wrong.status, wrong.json()["type"]) == (400, "urn:tocsin:bad_query")
    failed = await viewer.post(PATH, json={"query": "jobs[5m]", **span, "step_ms": 1000})
    assert (failed.status, "range query" in failed.text) == (422, True)
