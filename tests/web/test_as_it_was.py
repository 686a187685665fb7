"""`?at=`: the dashboard at a past moment."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.model.event import Event
from tocsin.state import events
from tocsin.state.schema import check_changes, check_runs, episodes, incident_alerts, incidents, silences

API = "/api/tocsin/v1"
MINUTE = 60_000


def at(minutes_ago: float) -> int:
    return int(START_MS - minutes_ago * MINUTE)


async def an_hour(house: Any) -> None:
    """60 min ago: shop goes down, fires, opens #1; 50: acknowledged by ana; 40: resolved and up again; 30-20: a silence."""

    def write(tx: Any) -> None:
        tx.execute(
            sa.insert(check_changes),
            [
                {"check_id": "shop", "t_ms": at(60), "before": "up", "after": "down", "reason": "status", "message": "HTTP 503"},
                {"check_id": "shop", "t_ms": at(40), "before": "down", "after": "up", "reason": "ok", "message": "HTTP 200"},
            ],
        )
        alert = {"alertname": "CheckDown", "severity": "critical", "check": "shop", "service": "shop"}
        tx.execute(
            sa.insert(episodes).values(
                fingerprint="00000000000000aa",
                alertname="CheckDown",
                severity="critical",
                labels=alert,
                annotations={},
                starts_at_ms=at(60),
                ends_at_ms=at(40),
                ended_by="source",
                incident=1,
            )
        )
        tx.execute(
            sa.insert(incidents).values(
                number=1,
                key="k",
                title="shop is down",
                severity="critical",
                urgency="high",
                state="resolved",
                receiver="default",
                service="shop",
                policy={"name": "default", "steps": [], "repeat": 0, "final": []},
                group_labels={},
                created_ms=at(60),
                acknowledged_ms=at(50),
                acknowledged_by="ana",
                resolved_ms=at(40),
                resolved_by="source",
                remediation={},
                extra={},
            )
        )
        tx.execute(sa.insert(incident_alerts).values(incident=1, fingerprint="00000000000000aa", labels=alert, annotations={}))
        for minutes, verb, actor in (
            (60, "opened", "system:tocsin"),
            (50, "acknowledged", "user:ana"),
            (40, "resolved", "system:source"),
        ):
            events.record(tx, Event(at(minutes), actor, verb, "incident:1", verb, {}))
        tx.execute(
            sa.insert(silences).values(
                id="s1", matchers=[["service", "=", "shop"]], starts_at_ms=at(30), ends_at_ms=at(20), created_by="ana",
                comment="x", annotations={}, updated_at_ms=at(30),
            )
        )  # fmt: skip

    await house.db.write(write)
    house.core.answers["check.list"] = [{"id": "shop", "name": "shop", "labels": {"service": "shop"}, "every_ms": 30_000}]


async def test_incidents_alerts_and_checks_are_what_they_were(house: Any) -> None:
    await an_hour(house)
    viewer = await house.as_role("viewer")

    async def get(path: str, minutes_ago: float) -> Any:
        mark = "&" if "?" in path else "?"
        answer = await viewer.get(f"{API}{path}{mark}at={at(minutes_ago)}")
        assert answer.status == 200, answer.body
        return answer.json()

    assert (await get("/incidents", 61))["incidents"] == []
    [new] = (await get("/incidents", 55))["incidents"]
    assert (new["state"], new["acknowledged_by"], new["alerts_firing"]) == ("triggered", "", 1)
    [held] = (await get("/incidents", 45))["incidents"]
    assert (held["state"], held["acknowledged_by"], held["acknowledged_ms"]) == ("acknowledged", "ana", at(50))
    assert (await get("/incidents", 35))["incidents"] == []
    [over] = (await get("/incidents?state=resolved", 35))["incidents"]
    assert over["resolved_ms"] == at(40)

    assert [row["name"] for row in (await get("/alerts", 45))["alerts"]] == ["CheckDown"]
    assert (await get("/alerts", 35))["alerts"] == []
    assert (await get("/alerts?severity=warning", 45))["alerts"] == []

    then = await get("/overview", 45)
    assert [(row["id"], row["message"]) for row in then["checks"]["problems"]] == [("shop", "HTTP 503")]
    assert then["sentence"].startswith("1 critical alert.")
    assert then["services"][0]["state"] == "critical"
    assert (await get("/overview", 35))["checks"]["counts"] == {"up": 1}
    assert (await get("/overview", 65))["checks"]["counts"] == {"up": 1}  # what the first change says was before it

    assert [row["state"] for row in (await get("/silences", 25))["silences"]] == ["active"]
    assert (await get("/silences", 10))["silences"] == []


async def test_one_incident_and_one_check_are_what_they_were(house: Any) -> None:
    await an_hour(house)

    def write(tx: Any) -> None:
        for minutes, ok in ((55, False), (35, True)):
            tx.execute(
                sa.insert(check_runs).values(
                    check_id="shop", started_ms=at(minutes), ok=ok, reason="", message="", result={"ok": ok}, manual_by=""
                )
            )
        events.record(tx, Event(at(5), "user:ana", "remediated", "incident:1", "rolled back", {}))
        tx.execute(sa.update(incidents).values(remediation={"summary": "rolled back"}))

    await house.db.write(write)
    viewer = await house.as_role("viewer")
    then = (await viewer.get(f"{API}/incidents/1?at={at(45)}")).json()
    assert (then["state"], then["acknowledged_by"], then["resolved_ms"]) == ("acknowledged", "ana", 0)
    assert [entry["verb"] for entry in then["timeline"]] == ["joined", "opened", "acknowledged"]
    assert then["remediation"] == {}, "what it was then is not kept"
    now = (await viewer.get(f"{API}/incidents/1")).json()
    assert (now["state"], now["remediation"]) == ("resolved", {"summary": "rolled back"})
    assert (await viewer.get(f"{API}/incidents/1?at={at(61)}")).status == 404

    checks = (await viewer.get(f"{API}/checks?at={at(45)}")).json()["checks"]
    assert [(row["id"], row["state"]) for row in checks] == [("shop", "down")]
    check = (await viewer.get(f"{API}/checks/shop?at={at(45)}")).json()
    assert (check["state"], check["message"], len(check["runs"]), len(check["changes"])) == ("down", "HTTP 503", 1, 1)
    assert (check["last_result"], check["last_ms"]) == ({"ok": False}, at(55))
    assert len((await viewer.get(f"{API}/checks/shop")).json()["runs"]) == 2


async def test_one_alert_is_what_it_was(house: Any) -> None:
    await an_hour(house)
    fingerprint = "00000000000000aa"

    def write(tx: Any) -> None:
        alert = {"alertname": "CheckDown", "severity": "critical", "check": "shop", "service": "shop"}
        again = {"fingerprint": fingerprint, "alertname": "CheckDown", "severity": "critical", "labels": alert}
        times = {"annotations": {}, "starts_at_ms": at(15), "ends_at_ms": 0, "ended_by": "", "incident": 2}
        tx.execute(sa.insert(episodes).values(**again, **times))
        for minutes, verb in ((60, "paged"), (15, "paged_again")):
            events.record(tx, Event(at(minutes), "system:tocsin", verb, f"alert:{fingerprint}", verb, {}))

    await house.db.write(write)
    viewer = await house.as_role("viewer")

    async def then(minutes_ago: float) -> Any:
        return (await viewer.get(f"{API}/alerts/{fingerprint}?at={at(minutes_ago)}")).json()

    first = await then(50)
    assert (first["state"], first["ends_at_ms"], first["incident"], first["now_ms"]) == ("firing", 0, 1, START_MS)
    assert [(one["starts_at_ms"], one["ends_at_ms"], one["ended_by"]) for one in first["history"]] == [(at(60), 0, "")]
    assert ([entry["verb"] for entry in first["trace"]], first["explanation"]) == (["paged"], "paged")
    over = await then(30)
    assert (over["state"], over["ends_at_ms"], over["history"][0]["ended_by"]) == ("resolved", at(40), "source")
    assert [one["ends_at_ms"] for one in (await then(10))["history"]] == [0, at(40)]
    early = await viewer.get(f"{API}/alerts/{fingerprint}?at={at(61)}")
    assert early.status == 404 and "at that time" in early.json()["detail"]


async def test_who_was_on_call_is_asked_of_the_schedule_at_that_moment(house: Any) -> None:
    house.core.answers["oncall.state"] = {
        "schedules": [{"schedule": "primary", "who": ["ben"], "until_ms": 5}],
        "policies": [],
        "people": [],
    }
    house.core.answers["schedule.query"] = {"at": "", "users": ["ana"], "why": ""}
    viewer = await house.as_role("viewer")
    found = (await viewer.get(f"{API}/oncall?at={at(60)}")).json()["schedules"]
    assert found[0]["who"] == ["ana"]
    assert (await viewer.get(f"{API}/oncall")).json()["schedules"][0]["who"] == ["ben"]


async def test_a_moment_that_cannot_be_is_refused(house: Any) -> None:
    viewer = await house.as_role("viewer")
    for path in ("/overview", "/alerts", "/alerts/aa", "/incidents", "/silences"):
        assert (await viewer.get(f"{API}{path}?at={START_MS + 3_600_000}")).status == 400
        assert (await viewer.get(f"{API}{path}?at=yesterday")).status == 422
