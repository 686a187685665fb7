"""The catalogue of services, one service, what changed around it, and its objectives, over a real store and state database."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.model.event import Event
from tocsin.promql.engine import Engine
from tocsin.report.plan import Slo
from tocsin.state import events
from tocsin.state.schema import alerts, check_changes, check_states, incidents, markers
from tocsin.web.api.service_figures import read_figures
from tocsin.web.server import create_app

API = "/api/tocsin/v1"
HOUR = 3_600_000
COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"


def spec(check: str, service: str) -> dict:
    return {
        "id": check, "name": check, "type": "http", "target": "https://shop.test/", "every_ms": 60_000, "failures": 3,
        "labels": {"service": service}, "source": "tocsin.yaml:3", "settings": {}, "paused": False,
    }  # fmt: skip


@pytest.fixture
async def viewer(house):
    return await house.as_role("viewer")


@pytest.fixture
def served(house):
    """Checkout answers with 1 % of 5xx and 2 % of 4xx from a pool nine tenths full; it depends on payments and on a bank."""
    rising = [step * 15.0 for step in range(61)]
    house.add(
        {
            f"__name__='{COUNT}', service='checkout', http_response_status_code='200'": [97 * value for value in rising],
            f"__name__='{COUNT}', service='checkout', http_response_status_code='404'": [2 * value for value in rising],
            f"__name__='{COUNT}', service='checkout', http_response_status_code='500'": rising,
            f"__name__='{COUNT}', service='payments', http_response_status_code='200'": rising,
            f"__name__='{BUCKET}', service='checkout', le='0.1'": [90 * value for value in rising],
            f"__name__='{BUCKET}', service='checkout', le='1'": [100 * value for value in rising],
            f"__name__='{BUCKET}', service='checkout', le='+Inf'": [100 * value for value in rising],
            "__name__='db_client_connection_count', service='checkout', instance='a', db_client_connection_state='used'": [9.0]
            * 61,
            "__name__='db_client_connection_max', service='checkout', instance='a'": [10.0] * 61,
        }
    )
    house.core.answers["check.list"] = [spec("health", "checkout"), spec("other", "blog")]
    state = house.core.answers["config.state"]
    state["services"] = {
        "checkout": {"name": "checkout", "owner": "web", "tier": "1", "depends_on": ["payments", "bank"]},
        "payments": {"name": "payments"},
    }

    def write(tx):
        for check, now in (("health", "down"), ("other", "up")):
            tx.execute(sa.insert(check_states).values(
                check_id=check, location="local", state=now, since_ms=START_MS - 600_000, reason="", message="HTTP 503",
                consecutive_failures=4, last_ms=START_MS, last_result={},
            ))  # fmt: skip
            tx.execute(sa.insert(check_changes).values(check_id=check, t_ms=START_MS - 10 * HOUR, before="pending", after="up"))
        tx.execute(sa.insert(check_changes).values(check_id="health", t_ms=START_MS - HOUR // 10, before="up", after="down"))
        tx.execute(sa.insert(alerts).values(
            fingerprint="aa", labels={"alertname": "Down", "service": "payments", "severity": "warning"}, annotations={},
            value=1.0, starts_at_ms=START_MS - 1000, ends_at_ms=0, updated_at_ms=START_MS, source="rule:x", suppressed_by=[],
        ))  # fmt: skip
        for t_ms, service, text in ((1, "checkout", "v1"), (2, "checkout", "v2"), (3, "blog", "b1"), (4, "", "network")):
            tx.execute(
                sa.insert(markers).values(t_ms=START_MS - 10_000 + t_ms, kind="deploy", service=service, text=text, data={})
            )

    return write


async def test_the_table_has_every_figure_of_every_service(house, viewer, served) -> None:
    await house.db.write(served)
    found = (await viewer.get(f"{API}/services")).json()
    rows = {row["name"]: row for row in found["services"]}
    assert [row["name"] for row in found["services"]] == ["checkout", "payments", "blog"]
    checkout = rows["checkout"]
    assert checkout["state"] == "critical" and rows["payments"]["state"] == "warning" and rows["blog"]["state"] == "ok"
    assert checkout["rate"] == pytest.approx(100, rel=0.01)
    assert checkout["error_ratio"] == pytest.approx(0.01) and checkout["client_error_ratio"] == pytest.approx(0.02)
    assert checkout["p50_s"] < 0.1 < checkout["p95_s"] < checkout["p99_s"] <= 1
    assert (checkout["saturation"], checkout["saturated"]) == (0.9, "connection pool")
    assert checkout["last_change"]["text"] == "v2" and checkout["last_change"]["kind"] == "deploy"
    assert checkout["depends_on"] == ["payments", "bank"] and checkout["owner"] == "web"
    assert rows["blog"]["rate"] is None and rows["blog"]["saturation"] is None
    page = (await viewer.get(f"{API}/services?limit=2")).json()
    assert len(page["services"]) == 2
    last = (await viewer.get(f"{API}/services?limit=2&cursor={page['next']}")).json()
    assert [row["name"] for row in last["services"]] == ["blog"] and last["next"] == ""


async def test_two_hundred_services_cost_as_many_queries_as_one(house, served) -> None:
    await house.db.write(served)
    asked: list[str] = []

    class Counting(Engine):
        def instant(self, query, *args, **kwargs):
            asked.append(str(query))
            return super().instant(query, *args, **kwargs)

        def range(self, query, *args, **kwargs):
            asked.append(str(query))
            return super().range(query, *args, **kwargs)

    async def count() -> int:
        asked.clear()
        parts = dataclasses.replace(house.parts, engine=Counting(house.store, clock=house.clock))
        client = dataclasses.replace(house.client, app=create_app(parts)).using(await house.token("viewer"))
        for _ in range(3):
            assert (await client.get(f"{API}/services")).status == 200
        return sum("service" in query for query in asked)

    few = await count()
    house.add({f"__name__='{COUNT}', service='s{n}', http_response_status_code='200'": [0.0, 5.0, 9.0] for n in range(200)})
    assert await count() == few == 5, asked


async def test_percentiles_are_those_of_promql(house, served) -> None:
    expr = "histogram_quantile({}, sum by (le, service) (rate(http_server_request_duration_seconds_bucket[5m])))"
    odd = {"0.5": [0.0, 3.0, 9.0], "2.5": [0.0, 4.0, 8.0], "+Inf": [0.0, 9.0, 20.0]}  # falls where it must not
    house.add({f"__name__='{BUCKET}', service='odd', le='{le}'": values for le, values in odd.items()})
    house.add({f"__name__='{BUCKET}', service='endless', le='{le}'": [0.0, 1.0, 2.0] for le in ("0.1", "nonsense")})
    house.add(
        {f"__name__='{COUNT}', service='{name}', http_response_status_code='200'": [0.0, 1.0] for name in ("odd", "endless")}
    )
    await house.db.write(served)
    read = read_figures(house.parts.engine, START_MS)
    for share, of in ((0.5, lambda name: read.figures[name].p50_s), (0.95, lambda name: read.metrics[name].p95_s)):
        vector = house.parts.engine.instant(expr.format(share), START_MS).vector
        known = {labels["service"]: float(value) for labels, value in zip(vector.labels, vector.values, strict=True)}
        for name in ("checkout", "odd"):
            assert of(name) == pytest.approx(known[name]), name
    assert read.figures["endless"].p50_s is None


async def test_one_service_knows_its_neighbours_and_what_speaks_of_it(house, viewer, served) -> None:
    await house.db.write(served)

    def opened(tx):
        for number, service in ((1, "checkout"), (2, "blog")):
            tx.execute(sa.insert(incidents).values(
                number=number, key=f"k{number}", title=f"{service} is down", severity="critical", urgency="high",
                state="triggered", service=service,
                policy={"name": "p", "steps": [], "repeat": 0, "final": []}, receiver="web", group_labels={},
                created_ms=START_MS - 1000, remediation={}, extra={},
            ))  # fmt: skip

    await house.db.write(opened)
    one = (await viewer.get(f"{API}/services/checkout")).json()
    assert one["known"] and one["state"] == "critical"
    assert [(link["name"], link["state"], link["alerts"], link["known"]) for link in one["dependencies"]] == [
        ("payments", "warning", 1, True),
        ("bank", "unknown", 0, False),
    ]
    assert [row["id"] for row in one["check_rows"]] == ["health"]
    assert [row["number"] for row in one["incidents"]] == [1]
    below = (await viewer.get(f"{API}/services/payments")).json()
    assert [link["name"] for link in below["callers"]] == ["checkout"]
    assert [row["name"] for row in below["alert_rows"]] == ["Down"]
    nobody = await viewer.get(f"{API}/services/a%2Fb")
    assert nobody.status == 200 and not nobody.json()["known"] and nobody.json()["state"] == "unknown"
    then = (await viewer.get(f"{API}/services/checkout?at={START_MS - HOUR}")).json()
    assert then["state"] == "ok" and then["check_rows"][0]["state"] == "up" and then["last_change"] is None


async def test_changes_are_those_that_concern_the_service_in_pages(house, viewer, served) -> None:
    await house.db.write(served)

    def told(tx):
        for t_ms, verb, subject, data in (
            (5, "config_loaded", "config", {}),
            (6, "silenced", "silence:1", {"matchers": '{service="checkout"}'}),
            (7, "silenced", "silence:2", {"matchers": '{service="blog"}'}),
            (8, "silenced", "silence:3", {"matchers": '{team="web"}'}),
            (9, "check_paused", "check:health", {}),
            (9, "check_paused", "check:other", {}),
            (9, "acknowledged", "incident:1", {}),
        ):
            events.record(tx, Event(START_MS - 10_000 + t_ms, "user:ana", verb, subject, f"{verb} {subject}", data))

    await house.db.write(told)
    seen, cursor = [], ""
    while True:
        page = (await viewer.get(f"{API}/services/checkout/changes?limit=2&cursor={cursor}")).json()
        assert len(page["changes"]) <= 2
        seen += [(row["kind"], row["text"]) for row in page["changes"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == [
        ("check", "check_paused check:health"),
        ("silence", "silenced silence:1"),
        ("config", "config_loaded config"),
        ("deploy", "network"),
        ("deploy", "v2"),
        ("deploy", "v1"),
    ]


ALL = f'sum(rate({COUNT}{{service="checkout"}}[$window]))'
FAILED = f'sum(rate({COUNT}{{service="checkout",http_response_status_code="500"}}[$window]))'
SLOS = (
    Slo("answers", 0.99, expr=f"1 - {FAILED} / {ALL}", service="checkout"),
    Slo("is up", 0.9, check="health", service="checkout"),
    Slo("many", 0.9, expr=f"rate({COUNT}[$window])", service="blog"),
)


async def test_objectives_say_how_fast_their_budget_burns(house, viewer, served) -> None:
    await house.db.write(served)
    house.core.answers["config.state"]["slos"] = [dataclasses.asdict(slo) for slo in SLOS]
    rule = {"group": "slos: answers", "rule": "ErrorBudgetBurn", "window": "1h", "severity": "critical"}
    house.core.answers["config.state"]["slo_rules"] = {"answers": [rule]}
    rows = {row["name"]: row for row in (await viewer.get(f"{API}/slos?compare=prev")).json()["slos"]}
    assert rows["answers"]["rules"] == [rule] and rows["is up"]["rules"] == []
    answers = rows["answers"]
    assert answers["value"] == pytest.approx(0.99) and answers["burn"]["1h"] == pytest.approx(1.0)
    assert answers["budget_left"] == pytest.approx(0, abs=1e-9) and answers["value_before"] is None and not answers["pending"]
    up = rows["is up"]
    # Six minutes of ten hours: 1 % of an allowed 10 %; of the last hour a tenth, which is just the allowed pace.
    assert up["value"] == pytest.approx(0.99) and up["budget_left"] == pytest.approx(0.9) and up["burn"]["1h"] == pytest.approx(1)
    assert up["query"] == 'avg_over_time(probe_success{check="health"}[$window])'
    assert "4 series" in rows["many"]["error"] and rows["many"]["value"] is None
    own = (await viewer.get(f"{API}/slos?service=checkout&window=7d")).json()["slos"]
    assert [row["name"] for row in own] == ["answers", "is up"] and own[0]["window_ms"] == 7 * 24 * HOUR
    then = (await viewer.get(f"{API}/slos?service=checkout&at={START_MS - HOUR}")).json()["slos"]
    assert then[1]["value"] == 1 and then[1]["budget_left"] == 1


@pytest.mark.parametrize("window", ["soon", "1m", "9000d", "0"])
async def test_a_window_that_is_none_is_refused_with_advice(viewer, window: str) -> None:
    answer = await viewer.get(f"{API}/slos?window={window}")
    assert answer.status == 400 and "window" in answer.json()["detail"]


async def test_a_period_that_stands_still_is_computed_once(house, viewer) -> None:
    house.core.answers["report.make"] = lambda args, _actor: {"id": 0, "asked": args}
    for _ in range(3):
        assert (await viewer.get(f"{API}/reports/preview?from=1000&until=2000")).status == 200
    assert len(house.core.commanded("report.make")) == 1
    assert (await viewer.get(f"{API}/reports/preview?from=1000&until=3000")).json()["asked"] == {"from": "1000", "until": "3000"}
    house.clock.t_ms += 400_000
    await viewer.get(f"{API}/reports/preview?from=1000&until=2000")
    for _ in range(2):
        await viewer.get(f"{API}/reports/preview")  # up to now: never the same
    assert len(house.core.commanded("report.make")) == 5
