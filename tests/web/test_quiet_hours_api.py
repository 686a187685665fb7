"""Quiet hours over HTTP: one's own for every account, others' for administrators, never over somebody else's change."""

from __future__ import annotations

from typing import Any

API = "/api/tocsin/v1"
HOURS = {"from": "22:00", "to": "07:00", "days": [], "time_zone": "UTC", "allow": ["critical"]}
NOW = {"person": "ana", "time_zone": "UTC", "severities": ["info", "critical"], "source": "own", "hours": HOURS, "etag": "m1"}


async def ana_of(house: Any) -> Any:
    """Somebody who is signed in: what is one's own belongs to an account."""
    account = {"name": "ana", "role": "viewer", "password": "a long password"}
    await (await house.as_role("admin")).post(API + "/accounts", json=account)
    form = {"name": "ana", "password": "a long password", "next": "/"}
    signed_in = await house.client.post("/login", form=form, headers={"origin": "http://127.0.0.1:8911"})
    ana = house.client
    ana.headers["cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
    ana.headers["x-csrf-token"] = (await ana.get(API + "/session")).json()["csrf"]
    return ana


async def test_who_may_set_whose_and_that_the_mark_is_held(house: Any) -> None:
    house.core.answers |= {"quiet.get": NOW, "quiet.set": NOW, "quiet.remove": {}}
    token, admin = await house.as_role("viewer"), await house.as_role("admin")
    viewer = await ana_of(house)
    mine, theirs = API + "/me/quiet-hours", API + "/people/ana/quiet-hours"
    one = await viewer.get(mine)
    assert one.json()["hours"] == HOURS and one.headers["etag"].startswith('"m1.')
    assert (await viewer.request("PUT", mine, json=HOURS, headers={"if-match": '"old"'})).status == 412
    assert house.core.commanded("quiet.set") == []
    assert (await viewer.request("PUT", mine, json=HOURS, headers={"if-match": one.headers["etag"]})).status == 200
    [args] = house.core.commanded("quiet.set")
    assert args["account"] == "ana" and "person" not in args and (args["from"], args["seen"]) == ("22:00", ["m1"])
    assert (await token.get(mine)).json()["type"] == "urn:tocsin:no_account"
    for method in ("GET", "PUT", "DELETE"):
        assert (await viewer.request(method, theirs, json=HOURS)).status == 403
    assert (await admin.request("PUT", theirs, json=HOURS)).status == 200
    assert (await admin.request("DELETE", theirs, headers={"if-match": "*"})).status == 204
    assert house.core.commanded("quiet.set")[-1]["person"] == house.core.commanded("quiet.remove")[-1]["person"] == "ana"
    wrong = await viewer.request("PUT", mine, json={**HOURS, "till": "07:00"})
    assert wrong.status == 400 and "till" in wrong.text
    assert (await viewer.request("PUT", mine, json={"from": "22:00"})).status == 400
