"""Is the pager alive? The self-test and the drill, asked for in the dashboard."""

from __future__ import annotations

import pytest

HOPS = {
    "ok": True,
    "to": "ana",
    "incident": 7,
    "hops": [{"name": "sample", "ok": True, "t_ms": 1, "after_ms": 0, "text": "stored"}],
}


async def test_the_selftest_is_handed_on_with_who_asked(house):
    house.core.answers["selftest"] = HOPS
    responder = await house.as_role("responder")
    answer = await responder.post("/api/tocsin/v1/selftest", json={"to": "ana"})
    assert (answer.status, answer.json()) == (200, HOPS)
    name, args, actor = house.core.seen[-1]
    assert (name, args, actor.name) == ("selftest", {"to": "ana", "urgent": False}, "responder")


async def test_a_drill_answers_with_what_became_of_each_message(house):
    house.core.answers["drill.start"] = [{"id": "n1", "channel": "email", "state": "failed"}]
    responder = await house.as_role("responder")
    answer = await responder.post("/api/tocsin/v1/drill", json={})
    assert answer.json() == [{"id": "n1", "channel": "email", "state": "failed"}]


@pytest.mark.parametrize("path", ["selftest", "drill"])
async def test_who_only_reads_pages_nobody(house, path):
    viewer = await house.as_role("viewer")
    assert (await viewer.post(f"/api/tocsin/v1/{path}", json={})).status == 403


async def test_a_selftest_to_a_number_is_refused(house):
    responder = await house.as_role("responder")
    answer = await responder.post("/api/tocsin/v1/selftest", json={"to": 5})
    assert answer.status == 400
    assert "to" in answer.text
