"""Nobody writes over somebody else unasked; every list that can grow comes in pages."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS
from tests.web.test_tocsin_api import broken  # noqa: F401  (a fixture)

from tocsin.errors import CommandError
from tocsin.incidents import publish
from tocsin.state.schema import incidents
from tocsin.web.api.rows import cut
from tocsin.web.problem import Refused

API = "/api/tocsin/v1"


async def test_an_account_is_changed_only_as_it_was_looked_at(house: Any) -> None:
    admin = await house.as_role("admin")
    made = (await admin.post(API + "/accounts", json={"name": "ben", "role": "viewer"})).json()
    one = await admin.get(API + "/accounts/ben")
    assert one.headers["etag"].startswith(f'"{made["etag"]}.')
    first = await admin.request("PATCH", API + "/accounts/ben", json={"role": "admin"}, headers={"if-match": one.headers["etag"]})
    assert first.status == 200 and first.json()["etag"] != made["etag"]
    second = await admin.request(
        "PATCH", API + "/accounts/ben", json={"role": "viewer"}, headers={"if-match": f'"{made["etag"]}"'}
    )
    assert (second.status, second.json()["type"]) == (412, "urn:tocsin:changed_meanwhile")
    assert second.headers["etag"] == f'"{first.json()["etag"]}"'
    assert (await admin.get(API + "/accounts/ben")).json()["role"] == "admin", "the one who was late changed nothing"
    for header in ("*", f'"other", W/"{first.json()["etag"]}"'):
        answer = await admin.request("PATCH", API + "/accounts/ben", json={}, headers={"if-match": header})
        assert answer.status == 200
    assert (await admin.request("PATCH", API + "/accounts/nobody", json={}, headers={"if-match": '"x"'})).status == 404


async def test_incidents_and_silences_take_if_match(broken: Any) -> None:  # noqa: F811
    responder = await broken.as_role("responder")
    broken.core.answers |= {"incident.resolve": lambda args, actor: None, "silence.expire": {}}
    one = await responder.get(API + "/incidents/1")
    assert one.headers["etag"].startswith(f'"{one.json()["version"]}.')
    assert (one.json()["now_ms"], one.json()["cursor"] >= 0) == (START_MS, True)
    late = await responder.post(API + "/incidents/1/resolve", json={}, headers={"if-match": '"99"'})
    assert late.status == 412 and broken.core.commanded("incident.resolve") == []
    good = await responder.post(API + "/incidents/1/resolve", json={}, headers={"if-match": one.headers["etag"]})
    assert good.status == 200
    [silence] = (await responder.get(API + "/silences")).json()["silences"]
    assert (await responder.request("DELETE", f"{API}/silences/{silence['id']}", headers={"if-match": '"old"'})).status == 412
    body = {"matchers": silence["matchers"], "ends_at_ms": START_MS + 1, "comment": "x", "id": silence["id"]}
    assert (await responder.post(API + "/silences", json=body, headers={"if-match": '"old"'})).status == 412
    assert broken.core.commanded("silence.expire") == broken.core.commanded("silence.set") == []
    assert (await responder.get(API + "/silences/" + silence["id"])).json()["etag"] == silence["etag"]


async def test_who_is_late_by_a_moment_hears_what_it_is_now(broken: Any) -> None:  # noqa: F811
    """The core holds the mark against the row it changes; between the look of the web process and that, somebody may be first."""

    def too_late(args: Any, actor: Any) -> Any:
        raise CommandError(412, "changed_meanwhile", "somebody changed this")

    responder = await broken.as_role("responder")
    broken.core.answers |= dict.fromkeys(("incident.remediation", "silence.expire", "silence.set"), too_late)
    mark = str((await responder.get(API + "/incidents/1")).json()["version"])
    late = await responder.post(API + "/incidents/1/remediation", json={"cause": "x"}, headers={"if-match": f'"{mark}.abc"'})
    assert (late.status, late.json()["type"], late.headers["etag"]) == (412, "urn:tocsin:changed_meanwhile", f'"{mark}"')
    assert broken.core.commanded("incident.remediation")[0]["seen"] == [mark]
    [silence] = (await responder.get(API + "/silences")).json()["silences"]
    head = {"if-match": f'"{silence["etag"]}"'}
    body = {"matchers": silence["matchers"], "ends_at_ms": START_MS + 1, "comment": "x", "id": silence["id"]}
    for late in (
        await responder.request("DELETE", f"{API}/silences/{silence['id']}", headers=head),
        await responder.post(API + "/silences", json=body, headers=head),
    ):
        assert (late.status, late.headers["etag"]) == (412, head["if-match"])
    assert [broken.core.commanded(f"silence.{verb}")[0]["seen"] for verb in ("set", "expire")] == [[silence["etag"]]] * 2


async def test_a_check_says_its_mark_and_a_row_of_an_alert_who_has_it(broken: Any) -> None:  # noqa: F811
    responder = await broken.as_role("responder")
    broken.core.answers["check.pause"] = {}
    [row, *_] = (await responder.get(API + "/checks")).json()["checks"]
    one = await responder.get(f"{API}/checks/{row['id']}")
    assert one.json()["etag"] and one.headers["etag"].startswith(f'"{one.json()["etag"]}.')
    path, head = f"{API}/checks/{row['id']}/pause", {"if-match": f'"{one.json()["etag"]}"'}
    assert (await responder.post(path, headers=head)).status == 200
    assert broken.core.commanded("check.pause")[0]["seen"] == [one.json()["etag"]]
    [alert] = [one for one in (await responder.get(API + "/alerts")).json()["alerts"] if one["incident"]]
    assert alert["acknowledged_by"] == ""
    broken.db.write_now(lambda tx: tx.execute(sa.update(incidents).values(state="acknowledged", acknowledged_by="ana")))
    [alert] = [one for one in (await responder.get(API + "/alerts")).json()["alerts"] if one["incident"]]
    assert alert["acknowledged_by"] == "ana"


async def test_an_update_is_corrected_by_the_version_that_was_seen(house: Any) -> None:
    house.core.answers["config.state"]["status_pages"] = {"shop": {"title": "Shop", "components": []}}
    house.core.answers["statuspage.edit"] = {}
    house.db.write_now(
        lambda tx: publish.publish(
            tx, incident=0, page="shop", state="identified", title="Mail", text="Slow.", published_by="", now_ms=START_MS
        )
    )
    responder = await house.as_role("responder")
    [page] = (await responder.get(API + "/status-pages")).json()["pages"]
    assert (page["followers"], page["stories"][0]["updates"][0]["etag"], page["stories"][0]["story"]) == (0, "1", 1)
    path = API + "/status-pages/shop/updates/1"
    assert (await responder.request("PATCH", path, json={"text": "x"}, headers={"if-match": '"7"'})).status == 412
    assert (await responder.request("PATCH", path, json={"text": "x"}, headers={"if-match": '"1"'})).status == 200
    assert house.core.commanded("statuspage.edit") == [{"page": "shop", "update": 1, "version": 1, "text": "x"}]
    assert (await responder.get(API + "/status-pages/other/updates/1")).status == 404
    both = {"state": "identified", "text": "x", "title": "y", "incident": 1, "story": 1}
    assert (await responder.post(API + "/status-pages/shop/updates", json=both)).status == 400


async def test_tokens_and_accounts_come_in_pages_that_hold_each_once(house: Any) -> None:
    admin = await house.as_role("admin")
    for number in range(5):
        house.clock.t_ms += 1
        await admin.post(API + "/tokens", json={"name": f"t{number}", "role": "viewer"})
    for path, field in (
        ("/tokens", "tokens"),
        ("/accounts", "accounts"),
        ("/checks", "checks"),
        ("/oncall/overrides", "overrides"),
    ):
        seen, cursor = [], ""
        while True:
            page = (await admin.get(f"{API}{path}?limit=2&cursor={cursor}")).json()
            seen += [row.get("id") or row["name"] for row in page[field]]
            if not (cursor := page["next"]):
                break
        assert len(seen) == len(set(seen)), path
        assert len(seen) >= 6 or path != "/tokens"
        for wrong in ("limit=0", "limit=x", "limit=99999", "cursor=!", "cursor=e30", "cursor=WzEsMl0"):
            answer = await admin.get(f"{API}{path}?{wrong}")
            assert answer.status == 400 or (wrong == "cursor=WzEsMl0" and answer.status == 200), (path, wrong)


async def test_lists_of_the_configuration_and_of_marks_come_in_pages(house: Any) -> None:
    responder = await house.as_role("responder")
    pages = {slug: {"title": slug, "components": []} for slug in ("a", "b", "c")}
    house.core.answers["config.state"] = {**house.core.answers["config.state"], "status_pages": pages}
    for number in range(3):
        body = {"text": f"deploy {number}", "t_ms": START_MS - number}
        assert (await responder.post(API + "/markers", json=body)).status == 201
    for path, field, name in (
        ("/status-pages", "pages", "slug"),
        ("/markers", "markers", "text"),
        ("/dashboards", "dashboards", "name"),
    ):
        seen, cursor = [], ""
        while True:
            page = (await responder.get(f"{API}{path}?limit=2&cursor={cursor}")).json()
            assert len(page[field]) <= 2
            seen += [row[name] for row in page[field]]
            if not (cursor := page["next"]):
                break
        whole = (await responder.get(API + path)).json()
        assert sorted(seen) == sorted(row[name] for row in whole[field]) and whole["next"] == "", path
        assert len(seen) >= 3 and (await responder.get(f"{API}{path}?cursor=!")).status == 400


async def test_own_contacts_come_in_pages_those_of_the_file_first(house: Any) -> None:
    rows = [{"id": id_, "source": source} for id_, source in (("a", "added"), ("mail", "file"), ("b", "added"))]
    house.core.answers["contact.list"] = {"person": "ana", "contacts": rows, "channels": ["email"]}
    account = {"name": "ana", "role": "viewer", "password": "a long password"}
    await (await house.as_role("admin")).post(API + "/accounts", json=account)
    form = {"name": "ana", "password": "a long password", "next": "/"}
    signed_in = await house.client.post("/login", form=form, headers={"origin": "http://127.0.0.1:8911"})
    ana = house.client
    ana.headers["cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
    first = (await ana.get(API + "/me/contacts?limit=2")).json()
    assert [row["id"] for row in first["contacts"]] == ["mail", "a"]
    rest = (await ana.get(f"{API}/me/contacts?limit=2&cursor={first['next']}")).json()
    assert ([row["id"] for row in rest["contacts"]], rest["next"]) == (["b"], "")


def test_a_page_shifts_nothing_when_rows_come_and_go() -> None:
    rows = [{"t": t, "id": f"r{t}"} for t in (1, 2, 3, 4)]

    def key(row: dict[str, Any]) -> tuple[int, str]:
        return (-row["t"], row["id"])

    first, cursor = cut(rows, {"limit": "2"}, key)
    assert [row["t"] for row in first] == [4, 3]
    rest, end = cut([{"t": 9, "id": "new"}, *(row for row in rows if row["t"] != 3)], {"limit": "2", "cursor": cursor}, key)
    assert ([row["t"] for row in rest], end) == ([2, 1], "")
    with pytest.raises(Refused, match="cursor"):
        cut(rows, {"cursor": "e30"}, key)
