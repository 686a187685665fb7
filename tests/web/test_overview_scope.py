"""The home screen of a scope: figures, counts and changes are of what the matchers mean, by no more queries than without."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.web.conftest import START_MS

from tocsin.formats.matchers import parse_matchers
from tocsin.model.event import Event
from tocsin.state import events
from tocsin.state.schema import alerts, check_states, incident_alerts, incidents, silences
from tocsin.web.api.metrics_view import read_metrics
from tocsin.web.api.scope import LabelNames, Narrowing, Scope

API = "/api/tocsin/v1"
COUNT = "http_server_request_duration_seconds_count"
RISING = [step * 15.0 for step in range(61)]


def scope(text: str) -> Scope:
    return Scope(parse_matchers(text))


def only(*names: str):
    return lambda metric: frozenset(names)


@pytest.mark.parametrize(
    ("asked", "query", "expected"),
    [
        ('env="prod"', "sum(rate(a[5m]))", 'sum(rate(a{env="prod"}[5m]))'),
        ('env="prod"', 'sum(rate(a{x="1"}[5m])) / b', 'sum(rate(a{env="prod",x="1"}[5m])) / b{env="prod"}'),
        ('env="prod",cloud="x"', "max(a)", 'max(a{env="prod"})'),
        ('env=~"p.*",env!="pre"', "a", 'a{env!="pre",env=~"p.*"}'),
        ('cloud="x"', "sum by (le) (rate(a[5m]))", "sum by (le) (rate(a[5m]))"),
        (r'env="a\"} or vector(1) #"', "sum(a)", r'sum(a{env="a\"} or vector(1) #"})'),
    ],
)
def test_a_matcher_goes_into_every_selector_whose_metric_has_its_label(asked, query, expected):
    assert Narrowing(scope(asked), only("env", "x")).query(query) == expected


def test_a_label_is_asked_for_metric_by_metric_and_what_stays_wide_is_said():
    names = {"a": frozenset({"env"}), "b": frozenset({"instance"})}.__getitem__
    narrowing = Narrowing(scope('env="prod"'), names)
    assert narrowing.query("a / b") == 'a{env="prod"} / b'
    assert (narrowing.without("a / b"), narrowing.without("b")) == ([], ["env"])
    # What has no label env is not of env=test: nothing is left out.
    assert Narrowing(scope('env!="test"'), names).without("b") == []


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [({"service": "pay"}, None), ({"service": "blog"}, False), ({"service": "pay", "env": "prod"}, True)],
)
def test_of_what_is_half_known_a_scope_says_no_yes_or_nothing(facts, verdict):
    assert scope('service="pay",env="prod"').judge(facts) is verdict


@pytest.mark.parametrize(
    ("silence", "verdict"),
    [('env="prod"', True), ('env="test"', False), ('env=~"pr.*"', True), ('env!="prod"', False), ('alertname="Slow"', None)],
)
def test_a_silence_touches_a_scope_unless_the_two_exclude_each_other(silence, verdict):
    assert scope('env="prod"').touches(parse_matchers(silence)) is verdict


@pytest.fixture
def two(house):
    """prod and test: 4 and 1 requests a second, a check, an alert and an incident each; hosts know nothing of either."""
    house.add(
        {
            f"__name__='{COUNT}', service='shop', env='prod', http_response_status_code='200'": [4 * value for value in RISING],
            f"__name__='{COUNT}', service='shop', env='test', http_response_status_code='200'": RISING,
            f"__name__='{COUNT}', service='lab', env='test', http_response_status_code='500'": RISING,
            "__name__='node_cpu_seconds_total', instance='a', mode='idle', cpu='0'": [value / 2 for value in RISING],
            "__name__='node_cpu_seconds_total', instance='a', mode='user', cpu='0'": [value / 2 for value in RISING],
        }
    )
    common = {
        "type": "http",
        "target": "https://x/",
        "every_ms": 60_000,
        "failures": 1,
        "source": "f",
        "settings": {},
        "paused": False,
    }
    house.core.answers["check.list"] = [
        {**common, "id": env, "name": env, "labels": {"service": service, "env": env}}
        for env, service in (("prod", "shop"), ("test", "lab"))
    ]
    house.core.answers["config.state"]["services"] = {"shop": {"owner": "web"}, "paper": {"owner": "print"}}

    def write(tx):
        for number, (env, service, state) in enumerate((("prod", "shop", "up"), ("test", "lab", "down")), 1):
            labels = {"alertname": "Slow", "env": env, "service": service, "severity": "warning"}
            tx.execute(sa.insert(check_states).values(
                check_id=env, location="local", state=state, since_ms=START_MS - 600_000, reason="", message="",
                consecutive_failures=0, last_ms=START_MS, last_result={},
            ))  # fmt: skip
            tx.execute(sa.insert(alerts).values(
                fingerprint=f"a{number}", labels=labels, annotations={}, value=1.0, starts_at_ms=START_MS - 1000, ends_at_ms=0,
                updated_at_ms=START_MS, source="rule:x", suppressed_by=[],
            ))  # fmt: skip
            tx.execute(sa.insert(incidents).values(
                number=number, key=env, title=f"{env} is slow", severity="warning", urgency="high", state="triggered",
                receiver="web", service=service, policy={"name": "p", "steps": [], "repeat": 0, "final": []}, group_labels={},
                created_ms=START_MS - 1000, remediation={}, extra={},
            ))  # fmt: skip
            tx.execute(sa.insert(incident_alerts).values(
                incident=number, fingerprint=f"a{number}", labels=labels, annotations={}, starts_at_ms=START_MS - 1000,
                severity="",
            ))  # fmt: skip
            tx.execute(sa.insert(silences).values(
                id=env, matchers=[{"name": "env", "value": env, "isRegex": False, "isEqual": True}], starts_at_ms=0,
                ends_at_ms=START_MS + 1, created_by="ana", comment="", annotations={},
            ))  # fmt: skip
            for verb, subject in (
                ("check_added", f"check:{env}"),
                ("silenced", f"silence:{env}"),
                ("marked", f"service:{service}"),
            ):
                events.record(tx, Event(START_MS - 900, "user:ana", verb, subject, f"{verb} {env}"))
        events.record(tx, Event(START_MS - 800, "user:ana", "config_loaded", "config", "loaded"))

    house.db.write_now(write)
    return house


@pytest.fixture
async def viewer(two):
    return await two.as_role("viewer")


async def overview(viewer, query=""):
    answer = await viewer.get(f"{API}/overview{query}")
    assert answer.status == 200, answer.text
    return answer.json()


async def test_figures_counts_and_changes_are_those_of_the_scope(viewer):
    whole, prod = await overview(viewer), await overview(viewer, "?scope=env=prod")
    rate = {name: {kpi["id"]: kpi for kpi in one["kpis"]} for name, one in (("whole", whole), ("prod", prod))}
    assert (rate["whole"]["requests"]["value"], rate["prod"]["requests"]["value"]) == (pytest.approx(6), pytest.approx(4))
    assert rate["whole"]["errors"]["value"] > 0 == rate["prod"]["errors"]["value"]
    assert whole["alerts"]["firing"] == {"warning": 2} and prod["alerts"]["firing"] == {"warning": 1}
    assert (whole["checks"]["counts"], prod["checks"]["counts"]) == ({"up": 1, "down": 1}, {"up": 1})
    assert prod["checks"]["problems"] == []
    assert [row["title"] for row in prod["incidents"]] == ["prod is slow"]
    assert {row["name"] for row in whole["services"]} == {"shop", "lab", "paper"}
    assert [(row["name"], row["rate"]) for row in prod["services"]] == [("shop", pytest.approx(4))]
    assert [(row["text"], row["of_all"]) for row in prod["changes"]] == [
        ("loaded", True), ("marked test", True), ("marked prod", True), ("silenced prod", False), ("check_added prod", False),
    ]  # fmt: skip
    assert len(whole["changes"]) == 7 and not any(row["of_all"] for row in whole["changes"])


async def test_what_cannot_be_narrowed_says_so(viewer):
    whole, prod = await overview(viewer), await overview(viewer, "?scope=env=prod")
    assert whole["scope"] is None
    assert prod["scope"] == {"matchers": ['env="prod"'], "unscoped": {"hosts": ["env"]}}
    kpis = {kpi["id"]: kpi["unscoped"] for kpi in prod["kpis"]}
    assert (kpis["requests"], kpis["errors"], kpis["cpu"]) == ([], [], ["env"])
    assert [row["instance"] for row in prod["hosts"]] == ["a"]
    assert (await overview(viewer, "?scope=instance=b"))["hosts"] == []


async def test_several_matchers_and_declared_facts_narrow_services(viewer):
    assert [row["name"] for row in (await overview(viewer, "?scope=env=test,service=lab"))["services"]] == ["lab"]
    assert [row["name"] for row in (await overview(viewer, "?scope=env=test&scope=service=lab"))["services"]] == ["lab"]
    assert [row["name"] for row in (await overview(viewer, "?scope=owner=print"))["services"]] == ["paper"]
    nothing = await overview(viewer, '?scope=env="none"')
    assert (nothing["services"], nothing["incidents"], nothing["checks"]["counts"]) == ([], [], {})
    assert {kpi["id"] for kpi in nothing["kpis"]} == {"cpu"}


async def test_a_scope_is_of_the_past_too(viewer):
    then = await overview(viewer, f"?scope=env=prod&at={START_MS - 500}")
    assert [row["title"] for row in then["incidents"]] == ["prod is slow"]
    assert then["scope"]["matchers"] == ['env="prod"']


@pytest.mark.parametrize("text", ["env", "=x", "env=~(", "a=1" + ",a=1" * 20, "a=" + "x" * 3000])
async def test_a_bad_scope_is_refused_with_advice(viewer, text):
    answer = await viewer.get(f"{API}/overview?scope={text}")
    assert (answer.status, answer.json()["type"]) == (400, "urn:tocsin:bad_scope")
    assert answer.json()["detail"].startswith("scope: ")


async def test_a_scope_is_remembered_for_a_moment_and_not_for_ever(two, viewer):
    async def problems(query):
        return len((await overview(viewer, query))["checks"]["problems"])

    assert (await problems("?scope=env=test,service=lab"), await problems("?scope=env=test"), await problems("")) == (1, 1, 1)
    two.db.write_now(lambda tx: tx.execute(sa.update(check_states).values(state="up")))
    # No event moved the cursor: each is as it was a moment ago, and the same matchers in another order are the same scope.
    assert (await problems('?scope=service="lab"&scope=env=test'), await problems("")) == (1, 1)
    for number in range(16):
        await overview(viewer, f"?scope=env=e{number}")
    assert (await problems("?scope=env=test"), await problems("")) == (0, 1)
    two.clock.t_ms += 2_000
    assert await problems("") == 0


def test_a_scope_asks_no_more_queries_than_everything(two):
    class Counting:
        asked = 0

        def instant(self, query, t_ms):
            self.asked += 1
            return two.parts.engine.instant(query, t_ms)

        def range(self, query, start_ms, end_ms, step_ms):
            self.asked += 1
            return two.parts.engine.range(query, start_ms, end_ms, step_ms)

    names, whole, narrowed = LabelNames(two.parts.reader), Counting(), Counting()
    read_metrics(whole, START_MS)
    read_metrics(narrowed, START_MS, Narrowing(scope('env="prod"'), lambda metric: names.of(metric, START_MS)))
    assert whole.asked == narrowed.asked
