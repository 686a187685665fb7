"""Our own REST API: every resource of the dashboard over real rows."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.errors import CommandError
from tocsin.incidents import overrides
from tocsin.incidents.oncall import Schedule
from tocsin.incidents.people import Directory
from tocsin.model.event import Event
from tocsin.model.incident import Person
from tocsin.state import events
from tocsin.state.schema import (
    alert_states,
    alerts,
    attempts,
    check_changes,
    check_runs,
    check_states,
    episodes,
    incident_alerts,
    incidents,
    notification_texts,
    notifications,
    silences,
)
from tocsin.web.api import check_shapes, service_shapes, shapes

API = "/api/tocsin/v1"
HOUR = 3_600_000
LABELS = {"alertname": "ShopDown", "severity": "critical", "service": "shop", "check": "shop"}
FINGERPRINT = "00000000000000aa"
SPEC = {
    "id": "shop", "name": "Shop", "type": "http", "target": "https://shop.test/", "every_ms": 60_000, "failures": 3,
    "labels": {"service": "shop"}, "source": "tocsin.yaml:3", "settings": {"url": "https://shop.test/"}, "paused": False,
}  # fmt: skip


@pytest.fixture
def broken(house):
    """The shop has been down for ten minutes; Ana has been paged."""
    house.core.answers["check.list"] = [SPEC, {**SPEC, "id": "blog", "name": "Blog", "labels": {"service": "blog"}}]
    since = START_MS - 600_000

    def write(tx):
        for check_id, state in (("shop", "down"), ("blog", "up")):
            tx.execute(
                sa.insert(check_states).values(
                    check_id=check_id, location="local", state=state, since_ms=since, reason="unexpected_status",
                    message="HTTP 503 in 12 ms", consecutive_failures=4, last_ms=START_MS - 1000,
                    last_result={"duration_ms": 12.5, "ok": False},
                )
            )  # fmt: skip
            tx.execute(
                sa.insert(check_changes).values(check_id=check_id, t_ms=START_MS - 30 * HOUR, before="pending", after="up")
            )
        tx.execute(sa.insert(check_changes).values(check_id="shop", t_ms=since, before="up", after="down"))
        tx.execute(
            sa.insert(check_runs).values(
                check_id="shop", started_ms=since, ok=False, reason="unexpected_status", message="HTTP 503", result={"ok": False}
            )
        )
        tx.execute(
            sa.insert(alerts).values(
                fingerprint=FINGERPRINT, labels=LABELS, annotations={"summary": "shop is down"}, starts_at_ms=since,
                suppressed_by=[], explanation="told ana", source="rule:r1", value=1.0,
            )
        )  # fmt: skip
        tx.execute(
            sa.insert(alert_states).values(
                rule_id="r2", fingerprint="00000000000000bb", labels={"alertname": "Slow", "severity": "warning"},
                phase="pending",
                active_at_ms=START_MS - 60_000, annotations={}, extra={},
            )
        )  # fmt: skip
        for start, end in ((since, 0), (START_MS - 5 * HOUR, START_MS - 4 * HOUR)):
            tx.execute(
                sa.insert(episodes).values(
                    fingerprint=FINGERPRINT, alertname="ShopDown", severity="critical", labels=LABELS, annotations={},
                    starts_at_ms=start, ends_at_ms=end, ended_by="" if not end else "recovered",
                )
            )  # fmt: skip
        number = tx.execute(
            sa.insert(incidents).values(
                key="k", title="shop is down", severity="critical", urgency="high", state="triggered", receiver="web",
                service="shop", policy={"name": "p", "steps": [], "repeat": 0, "final": []}, group_labels={}, created_ms=since,
                remediation={}, extra={},
            )
        ).inserted_primary_key[0]  # fmt: skip
        tx.execute(
            sa.insert(incident_alerts).values(
                incident=number, fingerprint=FINGERPRINT, labels=LABELS, annotations={}, starts_at_ms=since, severity="critical"
            )
        )
        for index in range(3):
            tx.execute(
                sa.insert(notifications).values(
                    id=f"n{index}", incident=number, kind="page", channel="email", address="ana@x", recipient="ana",
                    reason="step 1", dedup_key=f"d{index}", settings_ref="user:ana/0", payload={}, state="accepted",
                    created_ms=since, extra={},
                )
            )  # fmt: skip
        tx.execute(sa.insert(attempts).values(notification="n0", n=1, started_ms=since, ended_ms=since + 90, outcome="accepted"))
        tx.execute(
            sa.insert(silences).values(
                id="s1", matchers=[{"name": "service", "value": "shop", "isRegex": False, "isEqual": True}],
                starts_at_ms=START_MS - 1, ends_at_ms=START_MS + HOUR, created_by="ana", comment="deploy", annotations={},
            )
        )  # fmt: skip
        events.record(tx, Event(since, "system:dispatch", "fired", f"alert:{FINGERPRINT}", "it fires"))

    house.db.write_now(write)
    return house


@pytest.fixture
async def viewer(broken):
    return await broken.as_role("viewer")


@pytest.fixture
async def responder(broken):
    return await broken.as_role("responder")


async def test_overview_says_what_is_wrong_since_when_and_who_has_it(broken, viewer):
    broken.client.app.parts = broken.parts
    answer = (await viewer.get(f"{API}/overview")).json()
    assert answer["alerts"] == {"firing": {"critical": 1}, "pending": 1, "suppressed": 0}
    assert answer["checks"]["counts"] == {"down": 1, "up": 1}
    assert [row["id"] for row in answer["checks"]["problems"]] == ["shop"]
    assert answer["incidents"][0]["title"] == "shop is down"
    assert [(row["name"], row["state"]) for row in answer["services"]] == [("shop", "critical"), ("blog", "ok")]
    assert answer["checklist"]
    # No stream from the core has been heard: nothing may look healthy.
    assert answer["engine"]["ok"] is False
    assert "old" in answer["sentence"]


async def test_checks_show_state_uptime_strip_and_incident(viewer):
    rows = {row["id"]: row for row in (await viewer.get(f"{API}/checks")).json()["checks"]}
    shop = rows["shop"]
    assert (shop["state"], shop["message"], shop["duration_ms"], shop["incident"]) == ("down", "HTTP 503 in 12 ms", 12.5, 1)
    assert shop["strip"][-1] == "d" and shop["strip"][-2] == "u" and len(shop["strip"]) == 48
    assert shop["uptime"] == pytest.approx(1 - 10 / 1440)
    assert rows["blog"]["uptime"] == 1.0


async def test_the_list_of_checks_shows_longer_spans_and_what_is_usual(broken, viewer):
    broken.add({"__name__='probe_duration_seconds', check='shop'": [0.1] * 95 + [2.0] * 5})
    month = (await viewer.get(f"{API}/checks?window=30d")).json()
    rows = {row["id"]: row for row in month["checks"]}
    assert (month["window"], len(rows["shop"]["strip"]), rows["shop"]["strip"][-1]) == ("30d", 30, "d")
    assert rows["shop"]["uptime"] < 1 and rows["blog"]["uptime"] == 1.0
    assert month["p95_s"] == {"shop": pytest.approx(0.195)} and month["p95_span_ms"] == 6 * HOUR
    quarter = (await viewer.get(f"{API}/checks?window=90d")).json()["checks"]
    assert {len(row["strip"]) for row in quarter} == {90}
    assert (await viewer.get(f"{API}/checks")).json()["window"] == "24h"
    assert (await viewer.get(f"{API}/checks?window=1y")).status == 400


async def test_one_check_with_its_evidence(broken, viewer):
    broken.add({"__name__='probe_duration_seconds', check='shop'": [0.1] * 20})
    detail = (await viewer.get(f"{API}/checks/shop")).json()
    assert detail["runs"][0]["message"] == "HTTP 503"
    assert detail["changes"][0]["after"] == "down"
    assert set(detail["uptime_by_window"]) == {"24h", "7d", "30d", "90d"}
    assert len(detail["latency"]["t_ms"]) == len(detail["latency"]["values"]) == 361
    assert detail["latency"]["values"][-1] == 0.1
    assert (await viewer.get(f"{API}/checks/none")).json()["type"] == "urn:tocsin:no_such_check"


async def test_the_runs_of_a_check_one_of_them_and_its_uptime_by_day(broken, viewer):
    runs = (await viewer.get(f"{API}/checks/shop/runs")).json()
    assert (runs["runs"][0]["message"], runs["before"]) == ("HTTP 503", 0)
    one = (await viewer.get(f"{API}/checks/shop/runs/{runs['runs'][0]['id']}")).json()
    assert {name: one[name] for name in runs["runs"][0]} == runs["runs"][0]
    days = (await viewer.get(f"{API}/checks/shop/uptime?period=day&count=2&time_zone=Asia/Kathmandu")).json()
    assert days["time_zone"] == "Asia/Kathmandu"
    assert sum(day["down_ms"] for day in days["periods"]) == 600_000
    assert 0 < days["periods"][-1]["ratio"] < 1
    for path, status in (
        ("shop/runs/999", 404), ("blog/runs/1", 404), ("none/runs", 404), ("shop/runs/run-9", 404), ("none/uptime", 404),
        ("shop/uptime?period=week", 400), ("shop/uptime?count=0", 400),
        ("shop/uptime?time_zone=../x", 400), ("shop/runs?before=x", 400),
    ):  # fmt: skip
        assert (await viewer.get(f"{API}/checks/{path}")).status == status, path


async def test_a_check_that_has_not_run_yet_has_no_runs_and_no_uptime_rather_than_no_address(broken, viewer):
    broken.core.answers["check.list"] = [{"id": "new", "name": "New", "every_ms": 60_000}]
    assert (await viewer.get(f"{API}/checks/new/runs")).json() == {"runs": [], "before": 0, "next": ""}
    days = (await viewer.get(f"{API}/checks/new/uptime?count=2")).json()["periods"]
    assert [day["ratio"] for day in days] == [None, None]
    assert (await viewer.get(f"{API}/checks/none/uptime")).status == 404


async def test_watching_a_url_is_a_command_of_the_person(broken, responder, viewer):
    broken.core.answers["check.add"] = {"id": "shop"}
    answer = await responder.post(f"{API}/checks", json={"url": "https://shop.test/"})
    assert (answer.status, answer.json()["id"]) == (201, "shop")
    assert broken.core.commanded("check.add") == [{"url": "https://shop.test/"}]
    assert (await viewer.post(f"{API}/checks", json={"url": "x"})).status == 403
    wrong = await responder.post(f"{API}/checks", json={"uri": "x"})
    assert (wrong.status, wrong.json()["detail"]) == (400, "uri: Extra inputs are not permitted")


async def test_alerts_by_state_severity_matcher_and_text(viewer):
    async def names(**query):
        answer = await viewer.get(f"{API}/alerts", query=query)
        assert answer.status == 200, answer.text
        return [row["name"] for row in answer.json()["alerts"]]

    assert await names() == ["ShopDown", "Slow"]
    assert await names(state="firing") == ["ShopDown"]
    assert await names(severity="warning") == ["Slow"]
    assert await names(m='service=~"sh.*"') == ["ShopDown"]
    assert await names(q="SLO") == ["Slow"]
    assert await names(state="resolved") == ["ShopDown"]
    assert (await viewer.get(f"{API}/alerts?state=x")).status == 400
    assert (await viewer.get(f"{API}/alerts", query={"m": "a=~("})).status == 400


async def test_one_alert_with_history_and_trace(viewer):
    detail = (await viewer.get(f"{API}/alerts/{FINGERPRINT}")).json()
    assert [spell["ended_by"] for spell in detail["history"]] == ["", "recovered"]
    assert detail["trace"][0]["text"] == "it fires"
    assert detail["strip"].count("1") >= 3
    assert detail["incident"] == 1
    assert (await viewer.get(f"{API}/alerts/none")).status == 404


async def test_incidents_and_one_with_every_message(viewer):
    listed = (await viewer.get(f"{API}/incidents")).json()["incidents"]
    assert [(row["number"], row["alerts_firing"]) for row in listed] == [(1, 1)]
    detail = (await viewer.get(f"{API}/incidents/1")).json()
    assert len(detail["notifications"]) == 3 and detail["why"][0]["who"] == "ana"
    for number in ("99", "9" * 30):
        assert (await viewer.get(f"{API}/incidents/{number}")).status == 404
    assert (await viewer.get(f"{API}/incidents/x")).status == 404


async def test_acknowledging_carries_the_version_and_the_persons_name(broken, responder):
    broken.core.answers["incident.acknowledge"] = {}
    assert (await responder.post(f"{API}/incidents/1/acknowledge", json={"version": 1})).json()["number"] == 1
    [(args, actor)] = [(args, actor) for name, args, actor in broken.core.seen if name == "incident.acknowledge"]
    assert (args, actor.name) == ({"number": 1, "version": 1}, "responder")


async def test_what_was_done_reaches_the_incident_in_the_words_the_core_keeps(broken, responder):
    broken.core.answers["incident.remediation"] = {}
    done = {"action": "rollback", "summary": "back to 77aa", "cause": "release 8f2c", "held": False}
    assert (await responder.post(f"{API}/incidents/1/remediation", json=done)).status == 200
    [args] = [args for name, args, _ in broken.core.seen if name == "incident.remediation"]
    assert args == {"number": 1, **done}
    assert (await responder.post(f"{API}/incidents/1/remediation", json={"kind": "rollback"})).status == 400


async def test_notifications_page_without_loss_even_within_one_millisecond(viewer):
    first = (await viewer.get(f"{API}/notifications?incident=1&limit=2")).json()
    second = (await viewer.get(f"{API}/notifications", query={"incident": "1", "limit": "2", "cursor": first["next"]})).json()
    ids = [row["id"] for row in first["notifications"] + second["notifications"]]
    assert ids == ["n2", "n1", "n0"] and second["next"] == ""
    assert second["notifications"][-1]["attempt_log"][0]["outcome"] == "accepted"
    assert (await viewer.get(f"{API}/notifications?limit=0")).status == 400
    assert (await viewer.get(f"{API}/notifications?cursor='")).status == 400


async def test_silences_say_what_they_cover_and_preview_before_saving(broken, viewer, responder):
    rows = (await viewer.get(f"{API}/silences")).json()["silences"]
    assert [(row["id"], row["state"], row["matching_now"]) for row in rows] == [("s1", "active", 1)]
    matchers = [{"name": "service", "value": "sh.*", "isRegex": True, "isEqual": True}]
    preview = (await viewer.post(f"{API}/silences/preview", json={"matchers": matchers})).json()
    assert ([row["name"] for row in preview["now"]], preview["last_7d"]) == (["ShopDown"], 1)
    broken.core.answers["silence.set"] = {"id": "s1"}
    body = {"matchers": matchers, "ends_at_ms": START_MS + HOUR, "comment": "deploy"}
    assert (await responder.post(f"{API}/silences", json=body)).status == 201
    assert (await responder.post(f"{API}/silences", json={**body, "comment": " "})).status == 400
    broken_regex = [{**matchers[0], "value": "("}]
    assert (await responder.post(f"{API}/silences", json={**body, "matchers": broken_regex})).status == 400


async def test_somebody_takes_over_for_a_while_and_gives_back(broken, viewer, responder):
    directory = Directory(persons={"ana": Person("ana")}, schedules={"payments": Schedule("payments", "UTC", ())})

    def add(args, actor):
        return broken.db.write_now(lambda tx: overrides.add(tx, args, directory, actor, START_MS))

    broken.core.answers["override.add"] = add
    broken.core.answers["override.remove"] = lambda args, actor: broken.db.write_now(
        lambda tx: overrides.remove(tx, args["id"], actor, START_MS)
    )
    body = {"schedule": "payments", "start_ms": START_MS - HOUR, "end_ms": START_MS + HOUR, "users": ["ana"]}
    made = await responder.post(f"{API}/oncall/overrides", json=body)
    assert (made.status, made.json()["users"], made.json()["mode"]) == (201, ["ana"], "set")
    for wrong in ({"users": ["eve"]}, {"users": []}, {"end_ms": START_MS - 1}, {"schedule": "none"}, {"mode": "swap"}):
        assert (await responder.post(f"{API}/oncall/overrides", json={**body, **wrong})).status in (400, 404, 422), wrong
    assert (await viewer.post(f"{API}/oncall/overrides", json=body)).status == 403
    assert len((await viewer.get(f"{API}/oncall/overrides")).json()["overrides"]) == 1
    path = f"{API}/oncall/overrides/{made.json()['id']}"
    assert (await responder.request("DELETE", path)).status == 204
    assert (await responder.request("DELETE", path)).status == 404


async def test_search_finds_pages_checks_services_and_incidents(viewer):
    found = (await viewer.get(f"{API}/search?q=shop")).json()["results"]
    assert {(row["kind"], row["url"]) for row in found} >= {
        ("check", "/checks/shop"), ("service", "/services/shop"), ("incident", "/incidents/1")
    }  # fmt: skip
    assert (await viewer.get(f"{API}/search?q=")).json() == {"results": []}


async def test_a_command_the_core_refuses_keeps_its_status_and_code(broken, responder):
    from tocsin.errors import CommandError

    def refuse(args, actor):
        raise CommandError(409, "version_conflict", "look again")

    broken.core.answers["incident.resolve"] = refuse
    answer = await responder.post(f"{API}/incidents/1/resolve", json={})
    assert (answer.status, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json()["type"] == "urn:tocsin:version_conflict" and answer.json()["request_id"]


async def test_short_links_markers_and_config_without_secrets(broken, responder, viewer):
    made = (await viewer.post(f"{API}/links", json={"url": "/explore?q=up"})).json()
    moved = await viewer.get(f"/s/{made['id']}")
    assert (moved.status, moved.headers["location"]) == (303, "/explore?q=up")
    assert (await viewer.post(f"{API}/links", json={"url": "//evil.example"})).status == 400
    assert (await responder.post(f"{API}/markers", json={"service": "shop", "text": "8f2c"})).status == 201
    config = await viewer.get(f"{API}/config")
    assert config.json()["yaml"] == "checks: []\n"
    assert (await viewer.get(f"{API}/config", headers={"if-none-match": config.headers["etag"]})).status == 304


async def test_the_openapi_document_names_every_route_with_its_permission(broken, viewer):
    document = (await viewer.get(f"{API}/openapi.json")).json()
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    for endpoint in broken.client.app.endpoints:
        if endpoint.path.startswith(API) and not endpoint.path.endswith("openapi.json"):
            path = re.sub(r":\w+\}", "}", endpoint.path.removeprefix(API))
            for method in (endpoint.methods or set()) - {"HEAD"}:
                assert (method.lower(), path) in described
    references = set(re.findall(r"#/components/schemas/([\w.]+)", str(document)))
    assert references <= set(document["components"]["schemas"])


def interfaces(text: str) -> dict[str, tuple[str, set[str]]]:
    """name -> (what it extends, its own fields) of the interfaces in a TypeScript file."""
    found = {}
    for match in re.finditer(r"export interface (\w+)(?: extends (\w+))? \{", text):
        depth, at = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        body = re.sub(r"//[^\n]*", "", text[match.end() : at - 1])
        while (flat := re.sub(r"\{[^{}]*\}|<[^<>]*>|\([^()]*\)", "", body)) != body:
            body = flat
        found[match[1]] = (match[2] or "", set(re.findall(r"(\w+)\??:", body)))
    return found


def test_the_shapes_are_those_of_the_dashboard():
    """Each interface of ui/src/lib/api.ts that has a namesake among the shapes has the same fields."""
    text = (Path(__file__).parents[2] / "ui/src/lib/api.ts").read_text()
    known = {**vars(service_shapes), **vars(check_shapes), **vars(shapes)}
    shared = {name: item for name, item in interfaces(text).items() if name in known}
    for name, (base, wanted) in shared.items():
        fields = set(known[name].__dataclass_fields__) - set(known[base].__dataclass_fields__ if base in known else ())
        assert wanted == fields, f"{name}: api.ts {sorted(wanted - fields)}, Python {sorted(fields - wanted)}"
    assert len(shared) >= 25


async def test_an_incident_is_exported_as_markdown(broken, viewer):
    answer = await viewer.get(f"{API}/incidents/1/export.md")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/markdown")
    assert answer.text.startswith("# Incident #1: shop is down\n") and "ana" in answer.text
    assert (await viewer.get(f"{API}/incidents/99/export.md")).status == 404


async def test_a_follow_up_has_an_owner_and_a_date_or_is_plain_text(broken, responder):
    broken.core.answers["incident.remediation"] = None
    todo = {"text": "raise the limit", "owner": "ben", "due": "2026-12-01"}
    assert (await responder.post(f"{API}/incidents/1/remediation", json={"follow_ups": [todo, "watch it"]})).status == 200
    [sent] = broken.core.commanded("incident.remediation")
    assert sent == {"number": 1, "follow_ups": [{**todo, "done": False}, "watch it"]}


async def test_analytics_over_a_window(broken, viewer):
    found = (await viewer.get(f"{API}/incidents/analytics")).json()
    assert (found["incidents"], found["mtta_ms"], found["to_ms"] - found["from_ms"]) == (1, None, 30 * 24 * HOUR)
    assert [(rule["rule"], rule["pages"], rule["never_acknowledged"]) for rule in found["rules"]] == [("ShopDown", 3, 1)]
    assert found["people"][0]["who"] == "ana" and found["people"][0]["pages"] == 3
    assert (await viewer.get(f"{API}/incidents/analytics?from=2023-11-01T00:00:00Z&to=2023-11-02T00:00:00Z")).json()[
        "rules"
    ] == []
    for wrong in ("from=x", "from=2023-11-02T00:00:00Z&to=2023-11-01T00:00:00Z", "from=0", "to=2023-11-02"):
        assert (await viewer.get(f"{API}/incidents/analytics?{wrong}")).status == 422, wrong


async def test_the_log_of_messages_is_filtered_by_the_server_and_tells_what_one_said(house, viewer):
    text = {"notification": "n1", "t_ms": 5, "template": "title", "body": "CRITICAL - checkout"}
    await house.db.write(lambda tx: tx.execute(sa.insert(notification_texts).values(**text)))
    everything = (await viewer.get(f"{API}/notifications")).json()["notifications"]
    some = everything[0]

    async def found(**query: str) -> list[str]:
        return [row["id"] for row in (await viewer.get(f"{API}/notifications", query=query)).json()["notifications"]]

    assert some["id"] in await found(q=f"{some['recipient'].upper()} {some['channel']}")
    assert some["id"] in await found(q=f"#{some['incident']}")
    assert await found(q="no such words") == [] and await found(q="100%") == []
    assert await found(to=str(min(row["created_ms"] for row in everything) - 1)) == []
    assert len(await found(**{"from": "0"})) == len(everything)
    assert (await viewer.get(f"{API}/notifications?from=soon")).status == 422
    assert (await viewer.get(f"{API}/notifications?q={'x' * 201}")).status == 400

    one, silent = [(await viewer.get(f"{API}/notifications/{name}")).json() for name in ("n1", "n2")]
    assert (one["body"], one["said_ms"], one["template"], one["recipient"]) == ("CRITICAL - checkout", 5, "title", "ana")
    assert (silent["body"], silent["said_ms"]) == ("", 0)
    assert (await viewer.get(f"{API}/notifications/nothing")).status == 404


async def test_a_run_says_what_the_other_places_saw(broken, viewer):
    at = START_MS - 300_000

    def result(place: str, ok: bool) -> dict[str, object]:
        return {"location": place, "ok": ok, "unknown": False, "degraded": False, "facts": {}}

    def write(tx):
        for place, ok, t_ms in (("local", False, at), ("paris", False, at + 9_000), ("oslo", False, at - 600_000)):
            tx.execute(
                sa.insert(check_runs).values(
                    check_id="shop",
                    started_ms=t_ms,
                    ok=ok,
                    reason="",
                    message=f"from {place}",
                    result=result(place, ok),
                    manual_by="",
                )
            )

    broken.db.write_now(write)
    spec = {**SPEC, "locations": ["local", "paris", "oslo", "rome"]}
    broken.core.answers["check.list"] = [spec]
    broken.add({"__name__='probe_success', check='shop', location='oslo'": [1.0] * 3}, end_ms=at + 20_000)
    runs = (await viewer.get(f"{API}/checks/shop/runs")).json()["runs"]
    mine = next(run for run in runs if run["message"] == "from local")
    one = (await viewer.get(f"{API}/checks/shop/runs/{mine['id']}")).json()
    assert [(place["location"], place["verdict"], place["message"]) for place in one["places"]] == [
        ("local", "failed", "from local"), ("paris", "failed", "from paris"), ("oslo", "ok", ""), ("rome", "silent", ""),
    ]  # fmt: skip
    paris = next(run for run in runs if run["message"] == "from paris")
    assert one["after"] == paris["id"] and one["before"] > 0


async def test_a_run_is_streamed_phase_by_phase(broken, responder, viewer):
    told = [
        {"location": "local", "doing": "connecting", "phases": [{"name": "resolve", "ms": 1.5}], "seen": 1, "result": None},
        {"location": "local", "doing": "", "phases": [], "seen": 2, "result": {"ok": True, "message": "fine"}},
    ]
    broken.core.answers |= {"check.begin": {"run_id": "run-1"}, "check.follow": lambda _args, _actor: told.pop(0)}
    answer = await responder.post(f"{API}/checks/shop/run", headers={"accept": "application/x-ndjson"})
    first, last = [orjson.loads(line) for line in answer.body.splitlines()]
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert (first["doing"], first["phases"]) == ("connecting", [{"name": "resolve", "ms": 1.5}])
    assert last == {"result": {"ok": True, "message": "fine"}}
    assert [args["seen"] for args in broken.core.commanded("check.follow")] == [-1, 1]

    def away(_args, _actor):
        raise CommandError(504, "probe_away", "no probe")

    broken.core.answers["check.follow"] = away
    answer = await responder.post(f"{API}/checks/shop/run", headers={"accept": "application/x-ndjson"})
    assert answer.json() == {"error": {"code": "probe_away", "message": "no probe"}}
    assert (await viewer.post(f"{API}/checks/shop/run", headers={"accept": "application/x-ndjson"})).status == 403
