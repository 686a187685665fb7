"""The admin API: off by default, for administrators, and answered as Prometheus answers."""

from __future__ import annotations

import dataclasses

import pytest
from tests.conformance.promql_peer import prometheus

from tocsin.errors import CommandError

BASE = "/api/v1/admin/tsdb/"
FORM = {"content-type": "application/x-www-form-urlencoded"}
CALLS = [
    ("POST", "delete_series", ""),
    ("POST", "delete_series", "match[]=up{"),
    ("POST", "delete_series", "match[]=up&start=x"),
    ("POST", "delete_series", "match[]=up&end=x"),
    ("PUT", "delete_series", "match[]=up&match[]=down&start=5&end=4"),
    ("POST", "delete_series", "match[]={a=~'.*'}"),
    ("POST", "clean_tombstones", ""),
    ("PUT", "clean_tombstones", ""),
    ("POST", "snapshot", "skip_head=x"),
    ("POST", "snapshot", "skip_head=true"),
    ("GET", "snapshot", ""),
    ("GET", "delete_series", "match[]=up"),
]


def enable(house):
    house.parts.settings = dataclasses.replace(house.parts.settings, admin_api=True)
    house.core.answers |= {"store.delete": {}, "store.clean": {}, "store.snapshot": {"name": "20231114T221320Z-00"}}


@pytest.mark.parametrize("path", ["delete_series", "clean_tombstones", "snapshot"])
async def test_it_is_off_unless_it_was_switched_on(house, path):
    admin = await house.as_role("admin")
    answer = await admin.post(BASE + path, form=[("match[]", "up")])
    expected = {"status": "error", "errorType": "unavailable", "error": "admin APIs disabled"}
    assert (answer.status, answer.json()) == (503, expected)
    enable(house)
    assert (await (await house.as_role("responder")).post(BASE + path, form=[("match[]", "up")])).status == 403
    assert (await house.client.post(BASE + path, form=[("match[]", "up")])).status == 401


async def test_the_core_is_asked_for_what_was_said(house):
    enable(house)
    admin = await house.as_role("admin")
    form = [("match[]", 'up{a!="b"}'), ("match[]", "m"), ("start", "1"), ("end", "2.5")]
    assert (await admin.post(BASE + "delete_series", form=form)).status == 204
    sets = [[("a", "!=", "b"), ("__name__", "=", "up")], [("__name__", "=", "m")]]
    asked = house.core.commanded("store.delete")[0]
    assert [sorted(one) for one in asked["sets"]] == [sorted(one) for one in sets]
    assert (asked["start_ms"], asked["end_ms"]) == (1000, 2500)
    assert (await admin.post(BASE + "snapshot?skip_head=1")).json()["data"]["name"]
    assert house.core.commanded("store.snapshot") == [{"skip_head": True}]


async def test_a_store_that_cannot_is_an_internal_error(house):
    enable(house)

    def fail(*_):
        raise CommandError(500, "store", "the disk is full")

    house.core.answers["store.clean"] = fail
    answer = await (await house.as_role("admin")).post(BASE + "clean_tombstones")
    assert (answer.status, answer.json()["errorType"]) == (500, "internal")


@pytest.mark.peer
async def test_status_codes_and_texts_are_those_of_prometheus(house, tmp_path):
    enable(house)
    admin = await house.as_role("admin")
    with prometheus(tmp_path / "p", "--web.enable-admin-api") as peer:
        for method, path, form in CALLS:
            status, body = peer.raw(method, BASE + path, form.encode(), FORM)
            answer = await admin.request(method, BASE + path, body=form.encode(), headers=FORM)
            assert answer.status == status, (path, form, body)
            if status == 400:
                assert answer.body.strip() == body.strip(), (path, form)
