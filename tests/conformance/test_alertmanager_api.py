"""API v2: the same requests to the real Alertmanager and to ours, and amtool as a client of ours."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.alertmanager_peer import Api, amtool, our_api, real_alertmanager, routing_of

pytestmark = pytest.mark.peer

CONFIG = """
route:
  receiver: ops
  group_by: [alertname]
  group_wait: 1h
  routes:
    - matchers: [team="db"]
      receiver: db
      continue: true
    - matchers: ['severity=~"crit.*"']
      receiver: pager
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [service]
receivers:
  - name: ops
  - name: db
    labels: {owner: dba}
  - name: pager
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Api]]:
    with (
        real_alertmanager(tmp_path_factory.mktemp("real"), CONFIG) as real,
        our_api(tmp_path_factory.mktemp("ours"), routing_of(CONFIG)) as ours,
    ):
        yield real, ours


def hours(n: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=n)).isoformat().replace("+00:00", "Z")


def matcher(name: str = "alertname", value: str = "Nobody", *, regex: bool = False, equal: bool = True) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": regex, "isEqual": equal}


def silence(**changes: Any) -> dict[str, Any]:
    base = {"matchers": [matcher()], "startsAt": hours(0), "endsAt": hours(1), "createdBy": "ana", "comment": "why"}
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


POSTED_ALERTS: list[tuple[str, Any]] = [
    ("plain", [{"labels": {"alertname": "A", "team": "db", "severity": "critical", "service": "x"}}]),
    ("inhibited", [{"labels": {"alertname": "B", "severity": "warning", "service": "x"}, "annotations": {"s": "t"}}]),
    ("not inhibited", [{"labels": {"alertname": "B", "severity": "warning", "service": "y"}}]),
    ("no labels key", [{"annotations": {}}]),
    ("no label left", [{"labels": {"alertname": ""}}]),
    ("one bad among good", [{"labels": {"x": ""}}, {"labels": {"alertname": "Good"}}]),
    ("ends before it starts", [{"labels": {"alertname": "E"}, "startsAt": hours(2), "endsAt": hours(1)}]),
    ("not a list", {"labels": {"alertname": "N"}}),
    ("an empty list", []),
    ("resolved", [{"labels": {"alertname": "R"}, "startsAt": hours(-2), "endsAt": hours(-1)}]),
    ("UTF-8 names", [{"labels": {"alertname": "U", "a.b": "1", "straße": "ü"}}]),
    ("explicit end", [{"labels": {"alertname": "X"}, "endsAt": hours(3)}]),
]


def test_alerts_are_taken_or_refused_alike_and_read_alike(both: tuple[Api, Api]) -> None:
    real, ours = both
    for name, body in POSTED_ALERTS:
        theirs, mine = real.post("/api/v2/alerts", body), ours.post("/api/v2/alerts", body)
        assert mine[0] == theirs[0], (name, mine, theirs)
        if (mine[0] >= 400 and isinstance(theirs[1], str)) or theirs[0] == 422:
            assert mine[1] == theirs[1], name
    queries: list[dict[str, Any]] = [
        {},
        {"active": "false"},
        {"active": "maybe"},
        {"inhibited": "false"},
        {"silenced": "false"},
        {"filter": 'severity="critical"'},
        {"filter": ["severity=warning", "service!=y"]},
        {"filter": 'team=""'},
        {"filter": 'team!=""'},
        {"filter": "a.b=1"},
        {"filter": '"a.b"=1'},
        {"filter": "nonsense"},
        {"filter": 'a=~"("'},
        {"receiver": "db|pager"},
        {"receiver": "("},
        {"receiver_matchers": "owner=dba"},
    ]
    for query in queries:
        theirs, mine = real.get("/api/v2/alerts", **query), ours.get("/api/v2/alerts", **query)
        assert mine[0] == theirs[0], (query, mine, theirs)
        if mine[0] == 200:
            assert [_stable(a) for a in mine[1]] == [_stable(a) for a in theirs[1]], query
        theirs, mine = real.get("/api/v2/alerts/groups", **query), ours.get("/api/v2/alerts/groups", **query)
        assert mine[0] == theirs[0], (query, mine, theirs)
        if mine[0] == 200:
            assert [_stable_group(g) for g in mine[1]] == [_stable_group(g) for g in theirs[1]], query


def _stable(alert: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in alert.items() if name not in ("startsAt", "endsAt", "updatedAt")}


def _stable_group(group: dict[str, Any]) -> dict[str, Any]:
    alerts = sorted((_stable(alert) for alert in group["alerts"]), key=lambda a: a["fingerprint"])
    return {"labels": group["labels"], "receiver": group["receiver"]["name"], "alerts": alerts}


def test_silences_are_taken_or_refused_alike(both: tuple[Api, Api]) -> None:
    real, ours = both
    bodies: list[tuple[str, Any]] = [
        ("plain", silence()),
        ("past end", silence(startsAt=hours(-2), endsAt=hours(-1))),
        ("start after end", silence(startsAt=hours(2), endsAt=hours(1))),
        ("only empty matchers", silence(matchers=[matcher(value=".*", regex=True)])),
        ("no matchers", silence(matchers=[])),
        ("bad regex", silence(matchers=[matcher(value="(", regex=True)])),
        ("no comment", silence(comment=...)),
        ("no creator", silence(createdBy=...)),
        ("matcher without name", silence(matchers=[{"value": "x", "isRegex": False}])),
        ("unknown id", silence(id=str(uuid.uuid4()))),
        ("negative", silence(matchers=[matcher(value="x", equal=False)], endsAt=hours(3))),
        ("pending", silence(startsAt=hours(1), endsAt=hours(2))),
    ]
    for name, body in bodies:
        theirs, mine = real.post("/api/v2/silences", body), ours.post("/api/v2/silences", body)
        assert mine[0] == theirs[0], (name, mine, theirs)
        if theirs[0] == 422:
            assert mine[1] == theirs[1], name
    for path in ("/api/v2/silence/nonsense", f"/api/v2/silence/{uuid.uuid4()}"):
        for method in ("GET", "DELETE"):
            assert ours.call(method, path)[0] == real.call(method, path)[0], (method, path)
    theirs, mine = real.get("/api/v2/silences"), ours.get("/api/v2/silences")
    assert [s["matchers"] for s in mine[1]] == [s["matchers"] for s in theirs[1]]


@pytest.mark.parametrize("side", [0, 1])
def test_a_silence_keeps_its_id_unless_its_matchers_change(both: tuple[Api, Api], side: int) -> None:
    api = both[side]
    first = api.post("/api/v2/silences", silence())[1]["silenceID"]
    stored = api.get(f"/api/v2/silence/{first}")[1]
    longer = {**silence(endsAt=hours(5)), "id": first, "startsAt": stored["startsAt"]}
    assert api.post("/api/v2/silences", longer)[1]["silenceID"] == first
    other = {**longer, "matchers": [matcher(value="Somebody")]}
    second = api.post("/api/v2/silences", other)[1]["silenceID"]
    assert second != first
    assert api.get(f"/api/v2/silence/{first}")[1]["status"]["state"] == "expired"
    assert api.call("DELETE", f"/api/v2/silence/{second}")[0] == 200
    assert api.call("DELETE", f"/api/v2/silence/{second}")[0] == 200


def test_status_and_receivers_have_the_same_shape(both: tuple[Api, Api]) -> None:
    real, ours = both
    theirs, mine = real.get("/api/v2/status")[1], ours.get("/api/v2/status")[1]
    assert mine["cluster"] == theirs["cluster"]
    assert mine["versionInfo"].keys() == theirs["versionInfo"].keys()
    assert mine.keys() == theirs.keys()
    key = lambda receiver: receiver["name"]  # noqa: E731
    assert sorted(ours.get("/api/v2/receivers")[1], key=key) == sorted(real.get("/api/v2/receivers")[1], key=key)
    query = {"receiver_matchers": 'owner="dba"'}
    assert ours.get("/api/v2/receivers", **query) == real.get("/api/v2/receivers", **query)


def test_amtool_works_with_tocsin(tmp_path: Path) -> None:
    with our_api(tmp_path, routing_of(CONFIG)) as ours:
        added = amtool(ours.url, "alert", "add", "alertname=Disk", "service=shop", "--annotation=summary=full")
        assert added.returncode == 0, added.stderr
        assert "Disk" in amtool(ours.url, "alert", "query").stdout
        made = amtool(ours.url, "silence", "add", "alertname=Disk", "--comment=deploy", "--author=ana", "--duration=2h")
        assert made.returncode == 0, made.stderr
        silence_id = made.stdout.strip()
        assert silence_id in amtool(ours.url, "silence", "query").stdout
        assert "Disk" not in amtool(ours.url, "alert", "query").stdout
        assert "Disk" in amtool(ours.url, "alert", "query", "--silenced").stdout
        updated = amtool(ours.url, "silence", "update", "--duration=4h", silence_id)
        assert updated.returncode == 0, updated.stderr
        exported = amtool(ours.url, "silence", "query", "-o", "json").stdout
        (tmp_path / "silences.json").write_text(exported)
        expired = amtool(ours.url, "silence", "expire", silence_id)
        assert expired.returncode == 0, expired.stderr
        assert "Disk" in amtool(ours.url, "alert", "query").stdout
        imported = amtool(ours.url, "silence", "import", "--force", str(tmp_path / "silences.json"))
        assert imported.returncode == 0, imported.stderr
        assert "receiver: ops" in amtool(ours.url, "config", "show").stdout
        assert "disabled" in amtool(ours.url, "cluster", "show").stdout
        routes = amtool(ours.url, "config", "routes", "test", "team=db")
        assert routes.stdout.strip() == "db", routes.stderr
