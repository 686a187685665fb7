"""What the page of a rule tells: each series, when it fired, and whether anybody had to do something."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.state.schema import episodes, incidents, notifications

API = "/api/tocsin/v1"
MINUTE = 60_000


def _rule(check: str, *alerts: dict[str, Any]) -> dict[str, Any]:
    own = {"id": f"check/{check}", "place": f"tocsin.yaml:{len(check)}"}
    labels = {"check": check, "state": "", "team": "{{ $labels.team }}"}
    return {"name": "Down", "type": "alerting", "query": "x == 0", "labels": labels, "alerts": list(alerts), "tocsin": own}


def _labels(check: str, **more: str) -> dict[str, str]:
    return {"alertname": "Down", "check": check, "team": "web", **more}


@pytest.fixture
async def viewer(house: Any) -> Any:
    alert = {
        "labels": _labels("shop"),
        "state": "firing",
        "activeAt": "2023-11-14T22:00:00.000Z",
        "value": "NaN",
        "tocsin": {"phase": "clearing", "note": "held open"},
    }
    other = {"name": "up:sum", "type": "recording", "query": "sum(up)"}
    house.core.answers["rules.state"] = {"groups": [{"name": "checks/all", "rules": [_rule("shop", alert), other]}]}

    def write(tx: Any) -> None:
        for number, acknowledged_ms, verdict in ((1, START_MS, ""), (2, 0, "noise")):
            tx.execute(
                sa.insert(incidents).values(
                    number=number, key=f"k{number}", state="resolved", policy={}, group_labels={}, remediation={}, extra={},
                    acknowledged_ms=acknowledged_ms, verdict=verdict, created_ms=START_MS - number,
                )
            )  # fmt: skip
        for fingerprint, check, since, lasted, incident in (
            ("a" * 16, "shop", 10, 0, 1),
            ("a" * 16, "shop", 100, 4, 2),
            ("b" * 16, "shop", 200, 6, 0),
            ("c" * 16, "blog", 50, 5, 0),
            ("d" * 16, "shop", 60 * 24 * 40, 5, 0),
        ):
            start = START_MS - since * MINUTE
            end = start + lasted * MINUTE if lasted else 0
            more = {"host": "db"} if fingerprint[0] == "b" else {}
            tx.execute(
                sa.insert(episodes).values(
                    fingerprint=fingerprint, alertname="Down", labels=_labels(check, zone="eu", **more), annotations={},
                    starts_at_ms=start, ends_at_ms=end, ended_by="resolved" if end else "", incident=incident,
                )
            )  # fmt: skip
        tx.execute(
            sa.insert(notifications).values(
                id="n" * 32, incident=1, kind="page", channel="sms", recipient="ana", dedup_key="d", settings_ref="user:ana/0",
                payload={}, extra={}, state="delivered", created_ms=START_MS - MINUTE,
            )
        )  # fmt: skip

    house.db.write_now(write)
    return await house.as_role("viewer")


async def _history(viewer: Any, **query: str) -> Any:
    return await viewer.get(f"{API}/rules/history", query={"group": "checks/all", "rule": "Down", **query})


async def test_fired_so_often_acted_on_so_often(viewer: Any) -> None:
    told = (await _history(viewer)).json()
    assert (told["fired"], told["acted"], told["pages"], told["real"], told["noise"]) == (3, 1, 1, 0, 1)
    assert told["median_ms"] == 6 * MINUTE
    assert told["places"] == ["tocsin.yaml:4"]
    assert [firing["acted"] for firing in told["firings"]] == [True, False, False]
    assert [firing["ends_at_ms"] == 0 for firing in told["firings"]] == [True, False, False]


async def test_each_series_has_its_state_and_how_often_it_fired(viewer: Any) -> None:
    series = (await _history(viewer)).json()["series"]
    assert [(one["fingerprint"][0], one["state"], one["fired"], one["note"]) for one in series] == [
        ("a", "clearing", 2, "held open"),
        ("b", "inactive", 1, "resolved"),
    ]
    assert series[0]["value"] is None, "NaN is no number of JSON"


async def test_a_longer_time_finds_more_and_what_is_not_there_is_said(viewer: Any) -> None:
    assert (await _history(viewer, days="60")).json()["fired"] == 4
    assert (await _history(viewer, days="0")).status == 400
    assert (await _history(viewer, days="x")).status == 400
    assert (await _history(viewer, rule="Nothing")).status == 404
    assert (await _history(viewer, rule="up:sum")).status == 404
