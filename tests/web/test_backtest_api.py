"""A rule that somebody is writing, tried over stored history."""

from __future__ import annotations

import dataclasses

import pytest
from tests.web.conftest import START_MS, Client

from tocsin.web.server import create_app

URL = "/api/tocsin/v1/backtest"
RULE = {"expr": "errors > 5", "from_ms": START_MS - 59 * 15_000, "to_ms": START_MS, "for_ms": 30_000, "sweep": True}


def fill(house):
    house.add(
        {"__name__='errors', route='/pay'": [1.0] * 30 + [9.0] * 20 + [1.0] * 10, "__name__='errors', route='/list'": [2.0] * 60}
    )


async def test_a_rule_says_when_it_would_have_fired_and_at_which_thresholds(house):
    fill(house)
    viewer = await house.as_role("viewer")
    answer = (await viewer.post(URL, json=RULE)).json()
    (firing,) = answer["firings"]
    assert firing["labels"]["route"] == "/pay"
    assert 4 * 60_000 <= firing["resolved_ms"] - firing["fired_ms"] <= 5 * 60_000
    assert answer["summary"]["firings"] == 1
    assert answer["threshold"] == 5.0
    by_threshold = {row["threshold"]: row["firings"] for row in answer["thresholds"]}
    assert by_threshold[5.0] == 1
    assert by_threshold[9.0] == 0
    never = (await viewer.post(URL, json={**RULE, "expr": "sum(errors) > 500"})).json()
    assert (never["firings"], never["summary"]) == ([], None)


async def test_a_young_store_counts_from_its_first_sample_and_has_its_thresholds(house):
    fill(house)
    viewer = await house.as_role("viewer")
    month = {**RULE, "from_ms": START_MS - 30 * 86_400_000}
    answer = (await viewer.post(URL, json=month)).json()
    assert START_MS - answer["start_ms"] < 86_400_000 + 3_600_000
    assert answer["summary"]["per_week"] >= 5
    assert {row["threshold"]: row["firings"] for row in answer["thresholds"]}[5.0] == 1


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"expr": "errors >"}, 400, "parse error"),
        ({"expr": "errors * on () errors > 0"}, 422, "many-to-many|multiple matches|found duplicate series"),
        ({"to_ms": 0}, 400, "expected from_ms before to_ms"),
        ({"interval_ms": 1}, 400, "interval_ms"),
        ({"zone": "Mars/Base"}, 400, "no time zone"),
        ({"from_ms": 0, "interval_ms": 1000}, 400, "more than 2000000 evaluations"),
        ({"budget": 1}, 400, "budget"),
        ({"settings": "hold: many"}, 400, "settings: hold"),
        ({"settings": "holdt: 1 of 2"}, 400, "unknown key"),
    ],
)
async def test_what_cannot_be_tried_says_why(house, change, status, says):
    fill(house)
    viewer = await house.as_role("viewer")
    answer = await viewer.post(URL, json={**RULE, **change})
    assert answer.status == status
    assert any(word in answer.text for word in says.split("|")), answer.text


async def test_the_rules_own_hold_and_clear_decide(house):
    fill(house)
    viewer = await house.as_role("viewer")
    plain = {**RULE, "for_ms": 0}
    late = (await viewer.post(URL, json={**plain, "settings": "hold: 15 of 20"})).json()
    never = (await viewer.post(URL, json={**plain, "settings": "hold: 25 of 25"})).json()
    held = (await viewer.post(URL, json={**plain, "settings": "clear: 0.5"})).json()
    now = (await viewer.post(URL, json=plain)).json()
    assert late["firings"][0]["fired_ms"] - now["firings"][0]["fired_ms"] == 14 * 15_000
    assert never["firings"] == [] and held["firings"][0]["resolved_ms"] == 0 != now["firings"][0]["resolved_ms"]
    assert any("without the rule's own hold" in note for note in held["notes"])


@pytest.mark.process
async def test_the_worker_answers_the_same(house):
    fill(house)
    house.store.flush()
    viewer = await house.as_role("viewer")
    here = (await viewer.post(URL, json=RULE)).json()
    house.parts.store = house.store.path
    house.parts.settings = dataclasses.replace(house.parts.settings, light_samples=100)
    app = create_app(house.parts)
    there = Client(app, viewer.headers)
    try:
        answer = await there.post(URL, json=RULE)
        assert answer.status == 200, answer.text
        assert answer.json() == here
    finally:
        for close in app._closing:
            await close()
