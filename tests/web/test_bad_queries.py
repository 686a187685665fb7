"""Bad questions to the Prometheus API: each a 400 with a clear text, and the next one is answered."""

from __future__ import annotations

import pytest

BAD = {
    "ten megabytes": "up" + "-up" * 3_500_000,
    "deep": "(" * 50_000 + "up" + ")" * 50_000,
    "no regex": 'up{a=~"("}',
    "huge repetition": 'up{a=~"((a{1000}){1000}){1000}"}',
    "backreference": 'up{a=~"(a)\\\\1"}',
    "no string": "up{a='\xff",
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_expression_is_a_400(house, name):
    client = await house.as_role("viewer")
    answer = await client.post("/api/v1/query", form={"query": BAD[name], "time": "1700000000"})
    assert answer.status in (400, 413, 422)
    assert answer.json()["status"] == "error"
    assert len(answer.json()["error"]) < 20_000
    assert (await client.get("/api/v1/query?query=1")).status == 200


async def test_bad_selectors_of_lists_are_a_400(house):
    client = await house.as_role("viewer")
    for path in ("series", "labels", "label/a/values", "query_exemplars"):
        for text in ('up{a=~"("}', "{", "up[5m"):
            answer = await client.get(f"/api/v1/{path}", query=[("match[]", text), ("query", text)])
            assert answer.status == 400, (path, text)


async def test_a_tree_that_no_json_holds_is_said_to_be_too_deep(house):
    answer = await house.client.get("/api/v1/parse_query", query={"query": " + ".join(["up"] * 600)})
    assert answer.status == 400 and "too deeply" in answer.json()["error"]
