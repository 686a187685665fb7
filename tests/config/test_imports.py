"""Files of other programs become what Tocsin has words for; the rest is left with its place, and nothing there is changed."""

from __future__ import annotations

import json

import pytest
import yaml

from tocsin.config.additions import Addition, build_with, left_out
from tocsin.config.imports.files import plan_files
from tocsin.config.imports.person import PersonForm, plan_person
from tocsin.config.imports.plan import Known, Plan
from tocsin.config.load import build
from tocsin.config.sources import Sources
from tocsin.errors import CommandError, ConfigError

NOTHING = Known(sections={})
PROMETHEUS = """\
global: {scrape_interval: 15s, evaluation_interval: 30s, external_labels: {site: here}}
alerting: {alertmanagers: [{static_configs: [{targets: ["am:9093"]}]}]}
rule_files: ["/etc/prometheus/rules/*.yml", extra.yml]
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["shop.example:9100", "shop.example:9101"]}]
  - job_name: cloud
    ec2_sd_configs: [{region: eu-west-1}]
  - job_name: secret
    basic_auth: {username: me, password_file: /etc/passwd}
    static_configs: [{targets: ["a:1"]}]
  - job_name: wrong
    scrape_interval: soon
  - job_name: known
    static_configs: [{targets: ["b:1"]}]
"""
RULES = """\
groups:
  - name: shop
    rules:
      - {alert: Down, expr: up == 0, for: 5m}
"""


def taken(plan: Plan, what: str) -> list[str]:
    return [one.name for one in plan.taken if one.what == what]


def left(plan: Plan) -> list[str]:
    return [str(problem) for problem in plan.left]


def configured(plan: Plan, text: str = "{}\n"):
    addition = Addition("x", "import", "import", plan.sections, plan.files)
    config = build_with(Sources(("tocsin.yaml",), {"tocsin.yaml": text}), [addition])
    assert left_out(config, addition) == []
    return config


def test_jobs_and_rules_are_taken_with_what_global_said_and_the_rest_is_left_with_its_line() -> None:
    known = Known(sections={}, jobs=frozenset({"known"}))
    plan = plan_files({"prometheus.yml": PROMETHEUS, "rules/shop.yml": RULES}, known)
    assert taken(plan, "job") == ["shop"]
    assert taken(plan, "rules") == ["shop"]
    said = "\n".join(left(plan))
    for line, words in (
        (1, "external_labels"),
        (2, "alerts of these rules are paged by Tocsin"),
        (3, "no file of that name was given: choose extra.yml"),
        (8, "Tocsin does not ask ec2"),
        (10, "reads from this machine"),
        (13, "scrape_interval"),
        (14, "there is a job 'known' already"),
    ):
        assert any(f"prometheus.yml:{line}" in one and words in one for one in left(plan)), (line, words, said)
    config = configured(plan, "global: {scrape_interval: 5m}\n")
    [job] = config.jobs
    assert (job.name, job.interval_ms) == ("shop", 15_000)
    [group] = [one for one in config.file_rules if one.name == "shop"]
    assert group.interval_ms == 30_000
    assert config.files == ("tocsin.yaml",)


def test_an_address_alone_is_the_shortest_prometheus_yml() -> None:
    plan = plan_files({"pasted": " https://shop.example:8443/internal/metrics?full=1 service=shop "}, NOTHING)
    [job] = configured(plan).jobs
    assert job.static[0].labels.get("service") == "shop"
    assert (job.scheme, job.path, job.params, job.static[0].targets) == (
        "https",
        "/internal/metrics",
        {"full": ("1",)},
        ("shop.example:8443",),
    )


def test_a_rule_file_with_a_mistake_is_not_taken_and_one_that_is_there_is_not_doubled() -> None:
    plan = plan_files({"bad.yml": RULES.replace("up == 0", "up ==")}, NOTHING)
    assert plan.empty and "bad.yml:4" in left(plan)[0]
    plan = plan_files({"shop.yml": RULES}, Known(sections={}, groups=frozenset({("shop", ("Down",))})))
    assert plan.empty and "there already" in left(plan)[0]


ALERTMANAGER = """\
global: {resolve_timeout: 5m}
templates: ["*.tmpl"]
route:
  receiver: ops
  routes: [{receiver: chat, matchers: ['severity="warning"']}]
receivers:
  - name: ops
    webhook_configs: [{url: "http://ops.example/hook"}]
  - name: chat
    slack_configs: [{api_url: "https://hooks.slack.example/x", text: '{{ template "own" . }}'}]
"""


def test_routing_is_taken_whole_with_its_templates_and_says_who_was_paged_before() -> None:
    known = Known(sections={}, people=frozenset({"ana"}), policies=frozenset({"default"}))
    files = {"alertmanager.yml": ALERTMANAGER, "own.tmpl": '{{ define "own" }}it is {{ .Status }}{{ end }}'}
    plan = plan_files(files, known)
    assert taken(plan, "receiver") == ["ops", "chat"]
    assert taken(plan, "template") == [] and taken(plan, "templates") == ["own.tmpl"]
    assert "Until now they page default" in plan.changes[0]
    config = configured(plan)
    assert config.routing.root.receiver == "ops"
    assert [route.receiver for route in config.routing.root.routes] == ["chat"]


def test_a_second_routing_tree_and_secrets_of_this_machine_are_left() -> None:
    plan = plan_files({"alertmanager.yml": ALERTMANAGER}, Known(sections={"route": {"receiver": "mine"}}))
    assert plan.empty and "alertmanager.yml:3" in left(plan)[0] and "it stays" in left(plan)[0]
    text = ALERTMANAGER.replace('api_url: "https://hooks.slack.example/x"', "api_url_file: /etc/shadow")
    plan = plan_files({"alertmanager.yml": text}, NOTHING)
    assert plan.empty and "alertmanager.yml:10" in left(plan)[0]
    assert plan_files({"alertmanager.yml": ALERTMANAGER.replace("receiver: chat", "receiver: nobody")}, NOTHING).empty


BACKUP = {
    "version": "1.23.16",
    "notificationList": [{"id": 1, "name": "Chat", "config": "{}"}],
    "monitorList": [
        {
            "id": 1, "name": "Shop", "type": "keyword", "url": "https://shop.example/",
            "method": "GET", "interval": 30,            "maxretries": 2,
            "keyword": "Welcome", "active": True, "ignoreTls": True,
            "accepted_statuscodes": ["200-299", "301"],
            "maxredirects": 0,            "headers": '{"X-Key": "1"}', "basic_auth_user": "u", "basic_auth_pass": "p",
            "timeout": 24, "parent": 9,
            "tags": [{"name": "Service", "value": "shop"}, {"name": "instance", "value": "no"}], "upsideDown": False,
        },
        {"id": 2, "name": "Shop", "type": "port", "hostname": "db.example", "port": 5432, "interval": 60, "active": False},
        {"id": 3, "name": "Backup", "type": "push", "interval": 86400, "maxretries": 0, "pushToken": "abc"},
        {"id": 4, "name": "Ping", "type": "ping", "hostname": "10.0.0.1", "interval": 60},
        {"id": 5, "name": "Resolver", "type": "dns", "hostname": "shop.example", "dns_resolve_server": "1.1.1.1",
         "dns_resolve_type": "AAAA",         "port": 53, "interval": 60},
        {"id": 6, "name": "Box", "type": "docker", "docker_container": "x", "interval": 60},
        {"id": 7, "name": "Upside", "type": "http", "url": "https://x.example", "upsideDown": True, "interval": 60},
        {"id": 8, "name": "Broken", "type": "http", "url": "not a url", "interval": 60},
        {"id": 9, "name": "Front", "type": "group", "interval": 60},
        {"id": 10, "name": "There", "type": "ping", "hostname": "10.0.0.2", "interval": 60},
        {"id": 11, "name": "Db", "type": "postgres",
         "databaseConnectionString": "postgres://w:s@db.example/shop", "databaseQuery": "select 2"},
    ],
}  # fmt: skip


def test_monitors_of_a_backup_become_checks_and_those_that_cannot_are_named() -> None:
    plan = plan_files({"backup.json": json.dumps(BACKUP)}, Known(sections={}, checks=frozenset({"there"})))
    assert taken(plan, "check") == ["Shop", "Shop", "Backup", "Ping", "Resolver", "Db"]
    shop, port, backup, _ping, _dns, database = plan.checks
    assert shop["http"]["expect"] == {"status": ["200-299", "301"], "body": {"contains": "Welcome"}}
    assert (shop["every"], shop["failures"], shop["timeout"], shop["http"]["tls"]["verify"]) == ("30s", 3, "24000ms", False)
    assert shop["labels"] == {"service": "shop", "group": "Front"}
    assert (shop["http"]["username"], shop["http"]["headers"], shop["http"]["follow_redirects"]) == ("u", {"X-Key": "1"}, False)
    assert port["id"] == "shop-2" and port["paused"]
    assert backup["heartbeat"] == {"period": "86400s", "grace": "30s"}
    assert database["query"] == "select 2"
    said = "\n".join(left(plan))
    for words in (
        "'Box'",
        "Docker's socket",
        "'Upside'",
        "'Broken'",
        "'Front'",
        "'There'",
        "stays as it is",
        "notificationList[0] 'Chat'",
    ):
        assert words in said


def test_rows_of_the_monitor_table_are_read_as_well() -> None:
    """What `sqlite3 -json kuma.db "select * from monitor"` writes of a 2.x."""
    rows = [
        {"id": 1, "name": "Shop", "active": 1, "interval": 20, "url": "https://shop.example", "type": "http", "maxretries": 1,
         "ignore_tls": 1, "upside_down": 0, "maxredirects": 10, "accepted_statuscodes_json": '["200-299"]', "method": "GET",
         "expiry_notification": 0, "auth_method": None, "timeout": 16, "hostname": None, "port": None},
    ]  # fmt: skip
    plan = plan_files({"monitors.json": json.dumps(rows)}, NOTHING)
    [check] = plan.checks
    assert check["http"]["tls"] == {"verify": False, "expires_warning": "0s"}
    assert check["http"]["expect"] == {"status": ["200-299"]}


BOARD = {
    "title": "Node",
    "time": {"from": "now-3h"},
    "templating": {
        "list": [
            {"name": "datasource", "type": "datasource"},
            {"name": "node", "type": "query", "query": {"query": 'label_values(node_load1{job="$job"}, instance)'}},
            {"name": "every", "type": "interval", "query": "5m,1h", "current": {"value": "5m"}},
            {"name": "odd", "type": "query", "query": "query_result(up)"},
        ]
    },
    "panels": [
        {"id": 1, "type": "row", "title": "CPU", "panels": []},
        {
            "id": 2, "type": "timeseries", "title": "Load", "gridPos": {"w": 12},
            "fieldConfig": {"defaults": {"unit": "percentunit",
            "thresholds": {"steps": [{"color": "green", "value": None}, {"color": "red", "value": 0.8}]}}},
            "targets": [
                {"refId": "A", "expr": 'rate(node_cpu_seconds_total{instance="$node"}[$__rate_interval])',
                 "legendFormat": "{{ mode }}"},
                {"refId": "B", "expr": 'avg_over_time(node_load1{instance=~"${node:regex}"}[$every])', "legendFormat": "__auto"},
                {"refId": "C", "expr": "up{x=$odd}"},
                {"refId": "D", "query": "select 1"},
            ],
        },
        {"id": 3, "type": "nodeGraph", "title": "Graph", "targets": []},
        {"id": 4, "type": "text", "title": "About", "options": {"content": "hello"}},
    ],
}  # fmt: skip


def test_a_classic_dashboard_is_kept_where_its_queries_and_pictures_are_ours() -> None:
    plan = plan_files({"node.json": json.dumps({"dashboard": BOARD})}, NOTHING)
    [board] = configured(plan).dashboards
    assert (board.name, board.range, [one.name for one in board.variables]) == ("node", "now-3h", ["instance"])
    load, about = board.panels
    assert load.queries == {
        "{{mode}}": 'rate(node_cpu_seconds_total{instance=~"$instance"}[$__rate_interval])',
        "B": 'avg_over_time(node_load1{instance=~"$instance"}[5m])',
    }
    assert (load.unit, load.width, load.thresholds.critical, about.text) == ("ratio", 12, 0.8, "hello")
    said = "\n".join(left(plan))
    for words in (
        "panel 2 'Load' C",
        "$odd is not a variable",
        "panel 2 'Load' D",
        "no PromQL",
        "panel 3 'Graph'",
        "templating.list[3]",
    ):
        assert words in said, said


def test_the_new_model_of_grafana_and_other_json_are_refused_with_a_way_out() -> None:
    plan = plan_files({"v2.json": json.dumps({"spec": {"elements": {}}}), "x.json": "{}", "y.json": '{"a": 1}'}, NOTHING)
    assert plan.empty
    assert "export it as classic JSON" in left(plan)[0] and "expected monitors" in left(plan)[1]


def test_the_forms_make_somebody_who_is_told_and_on_call() -> None:
    settings = {"smarthost": "mail.example:587", "from": "tocsin@shop.example"}
    plan = plan_person(PersonForm("ana", "Europe/Paris", "email", "ana@shop.example", settings), NOTHING)
    first = configured(plan)
    assert not first.nobody_paged
    again = plan_person(PersonForm("ana", "Europe/Paris", on_call=True), Known.of(first))
    both = [Addition("1", "a", "person", plan.sections), Addition("2", "b", "person", again.sections)]
    config = build_with(Sources((), {}), both)
    assert [*config.directory.schedules] == ["primary"] and [*config.directory.policies] == ["default"]
    assert config.directory.persons["ana"].methods[0].channel == "email"
    with pytest.raises(CommandError, match="there is a schedule already"):
        plan_person(PersonForm("ben", on_call=True), Known.of(config))
    with pytest.raises(CommandError, match="mail server"):
        plan_person(PersonForm("ben", channel="email", address="b@x.example"), NOTHING)


def test_the_files_win_over_what_was_added_and_say_so() -> None:
    addition = Addition("7", "prometheus.yml", "import", plan_files({"p": "shop.example:9100"}, NOTHING).sections)
    text = yaml.safe_dump({"scrape_configs": [{"job_name": "shop.example:9100", "static_configs": [{"targets": ["x:1"]}]}]})
    config = build_with(Sources(("tocsin.yaml",), {"tocsin.yaml": text}), [addition])
    assert [job.static[0].targets for job in config.jobs] == [("x:1",)]
    assert "is left out" in left_out(config, addition)[0].message
    with pytest.raises(ConfigError):
        build_with(Sources(("tocsin.yaml",), {"tocsin.yaml": "chekcs: []\n"}), [addition])
    assert build(Sources(("tocsin.yaml",), {"tocsin.yaml": text})).jobs == config.jobs
