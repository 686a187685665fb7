"""alertmanager.yml: what is read, what is refused and where, and what becomes of receivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tocsin.alerts.routetest import explain_route
from tocsin.config.alertmanager import build_routing, read_alertmanager
from tocsin.config.maintenance import MaintenanceSection
from tocsin.config.receiverkinds import KINDS
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import parse_yaml
from tocsin.model.httpclient import BasicAuth
from tocsin.model.route import Routing
from tocsin.notify.channel import build

EVERYTHING = """
global:
  resolve_timeout: 1m
  smtp_smarthost: mail.example:587
  smtp_from: tocsin@example.org
  smtp_auth_username: tocsin
  smtp_auth_password_file: mail.secret
  slack_api_url: https://hooks.slack.example/T/B/x
route:
  receiver: ops
  group_by: [alertname, cluster]
  group_wait: 10s
  labels: {tier: all}
  routes:
    - matchers: [team="db", 'severity=~"crit.*"']
      receiver: db
      group_by: ['...']
      continue: true
      mute_time_intervals: [nights]
      routes:
        - match: {service: files}
          match_re: {host: "a|b"}
          labels: {tier: files}
    - matchers: ['team="db"']
      active_time_intervals: [office]
      group_by: []
receivers:
  - name: ops
    email_configs:
      - to: "ana@example.org, ben@example.org"
        send_resolved: true
    slack_configs:
      - channel: "#alerts"
  - name: db
    policy: dba
    labels: {owner: dba}
    webhook_configs:
      - url: https://hook.example/x
        http_config:
          basic_auth: {username: u, password: p}
    pagerduty_configs:
      - routing_key_file: pd.secret
    telegram_configs:
      - {bot_token: t, chat_id: -100}
inhibit_rules:
  - name: worse hides bad
    source_matchers: [severity="critical"]
    target_match: {severity: warning}
    equal: [service]
time_intervals:
  - name: office
    time_intervals:
      - times: [{start_time: "09:00", end_time: "17:00"}]
        weekdays: [monday:friday]
        months: [january:march, "12"]
        days_of_month: ["1:15", "-3:-1"]
        years: ["2025:2030"]
        location: Europe/Paris
mute_time_intervals:
  - name: nights
    time_intervals:
      - times: [{start_time: "22:00", end_time: "24:00"}, {start_time: "00:00", end_time: "06:00"}]
"""
SECRETS = {"mail.secret": "m-secret\n", "pd.secret": "pd-key"}


def read_secret(name: str) -> str:
    if name not in SECRETS:
        raise FileNotFoundError(2, "No such file or directory", name)
    return SECRETS[name]


def check(text: str, **options: Any) -> tuple[Routing | None, list[Problem]]:
    tree = parse_yaml(text, "am.yml")
    config, problems = read_alertmanager(tree.value, tree)
    if config is None or problems:
        return None, problems
    return build_routing(config, tree, read_file=read_secret, policies=["dba"], **options)


def routing_of_text(text: str) -> Routing:
    routing, problems = check(text)
    assert routing is not None, [str(p) for p in problems]
    assert not [p for p in problems if not p.warning], [str(p) for p in problems]
    return routing


def test_routes_inherit_what_alertmanager_lets_them() -> None:
    routing = routing_of_text(EVERYTHING)
    db, db_office = routing.root.routes
    files = db.routes[0]
    assert (files.receiver, files.group_by, files.group_wait_ms) == ("db", None, 10_000)
    assert files.labels == {"tier": "files"}
    assert files.mute_time_intervals == (), "time intervals are never inherited"
    assert db_office.group_by == ()
    assert [route.id for route in (routing.root, db, files)] == [
        "{}",
        '{}/{severity=~"crit.*",team="db"}/0',
        '{}/{severity=~"crit.*",team="db"}/0/{host=~"a|b",service="files"}/0',
    ]
    assert routing.resolve_timeout_ms == 60_000
    labels = {"team": "db", "severity": "critical", "service": "files", "host": "a"}
    assert explain_route(routing, labels, now_ms=0).receivers == ("db", "ops")


def test_receivers_become_destinations() -> None:
    routing = routing_of_text(EVERYTHING)
    ops, db = routing.receivers["ops"], routing.receivers["db"]
    assert [(d.channel, d.settings.get("to"), d.send_resolved, d.index) for d in ops.destinations] == [
        ("email", "ana@example.org", True, 0),
        ("email", "ben@example.org", True, 1),
        ("slack", None, False, 2),
    ]
    assert ops.destinations[0].settings["auth_password"] == "m-secret"
    assert ops.destinations[2].settings == {"api_url": "https://hooks.slack.example/T/B/x", "channel": "#alerts"}
    assert (db.policy, db.labels, db.place.line) == ("dba", {"owner": "dba"}, 34)
    by_channel = {d.channel: d.settings for d in db.destinations}
    assert by_channel["webhook"]["http_config"].basic_auth == BasicAuth(username="u", password="p")
    assert by_channel["pagerduty"]["routing_key"] == "pd-key"
    assert by_channel["telegram"]["chat_id"] == -100


ROOT = "route: {receiver: r}\nreceivers: [{name: r}]\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("receivers: [{name: r}]", 1, "no routes provided"),
        ("route: {}\nreceivers: [{name: r}]", 1, "must name a receiver"),
        ("route: {receiver: x}\nreceivers: [{name: r}]", 1, "no receiver named 'x'"),
        ("route:\n  receiver: r\n  matchers: [a=b]\nreceivers: [{name: r}]", 1, "must not have matchers"),
        ("route:\n  receiver: r\n  mute_time_intervals: [x]\nreceivers: [{name: r}]", 3, "must not be quiet"),
        ("route:\n  receiver: r\n  routes:\n    - mute_time_intervals: [x]\nreceivers: [{name: r}]", 4, "no time interval named"),
        ("route: {receiver: r, group_by: [a, a]}\nreceivers: [{name: r}]", 1, "twice"),
        ("route: {receiver: r, group_by: ['...', a]}\nreceivers: [{name: r}]", 1, "all labels"),
        ("route: {receiver: r, group_interval: 0s}\nreceivers: [{name: r}]", 1, "longer than zero"),
        ("route: {receiver: r, group_wait: 5}\nreceivers: [{name: r}]", 1, "with a unit"),
        ("route: {receiver: r, group_wiat: 5s}\nreceivers: [{name: r}]", 1, "unknown key 'group_wiat'"),
        (ROOT + "nonsense: 1", 3, "unknown key 'nonsense'"),
        ("route: {receiver: r}\nreceivers: [{name: r}, {name: r}]", 2, "another receiver named 'r'"),
        ("route: {receiver: r}\nreceivers:\n  - name: r\n    webhook_configs:\n      - {}", 5, "url is missing"),
        ("route: {receiver: r}\nreceivers:\n  - name: r\n    webhook_configs:\n      - {url: x, url_file: y}", 5, "at most one"),
        (
            "route: {receiver: r}\nreceivers:\n  - name: r\n    webhook_configs:\n      - {url: x, urll: y}",
            5,
            "unknown key 'urll'",
        ),
        ("route: {receiver: r}\nreceivers:\n  - name: r\n    email_configs:\n      - {to: a@b}", 5, "smarthost is missing"),
        (ROOT + "inhibit_rules:\n  - source_matchers: ['a=~(']", 4, "regexp"),
        (ROOT + "inhibit_rules:\n  - source_match: {a.b: c}", 4, "invalid label name 'a.b'"),
        (ROOT + "time_intervals:\n  - name: t\n    time_intervals:\n      - weekdays: [moonday]", 6, "not a weekday"),
        (ROOT + "time_intervals:\n  - name: t\n    time_intervals:\n      - days_of_month: ['5:3']", 6, "always before"),
        (ROOT + "time_intervals:\n  - name: t\n    time_intervals:\n      - location: Mars/Base", 6, "unknown time zone"),
        (
            ROOT
            + "time_intervals:\n  - name: t\n    time_intervals:\n"
            + "      - times:\n          - {start_time: '22:00', end_time: '06:00'}",
            6,
            "over midnight",
        ),
    ],
)
def test_mistakes_say_where_and_what(text: str, line: int, words: str) -> None:
    routing, problems = check(text)
    assert routing is None
    assert any(words in problem.message and problem.place.line == line for problem in problems), [str(p) for p in problems]


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        ("sns_configs: [{topic_arn: a, sigv4: {region: r, profile: away}}]", "no profile 'away'"),
        ("sns_configs: [{topic_arn: a, sigv4: {region: r, access_key: a}}]", "must be set together"),
        ("webhook_configs: [{url: 'http://x', http_config: {tls_config: {ca_file: away}}}]", "cannot read"),
        ("webhook_configs: [{url: 'http://x', http_config: {proxy_url: 'socks5://x'}}]", "by http:// or https://"),
        ("policy: nobody", "no policy named 'nobody'"),
        ("webhook_configs: [{url_file: missing}]", "cannot read missing"),
    ],
)
def test_a_receiver_that_cannot_be_delivered_is_an_error_never_dropped(receiver: str, words: str) -> None:
    _, problems = check(f"route: {{receiver: r}}\nreceivers:\n  - name: r\n    {receiver}\n")
    errors = [problem for problem in problems if not problem.warning]
    assert len(errors) == 1
    assert words in errors[0].message
    assert errors[0].place.line in (3, 4)


RECEIVER = "route: {receiver: r}\nreceivers:\n  - name: r\n    %s\n"


@pytest.mark.parametrize(
    ("receiver", "words"),
    [
        ("webex_configs: [{room_id: r}]", "http_config.authorization is missing"),
        ("opsgenie_configs: [{api_key: k, responders: [{type: team}]}]", "at least one of id"),
        ("opsgenie_configs: [{api_key: k, responders: [{id: x, type: dog}]}]", "expected team"),
        ("victorops_configs: [{api_key: k, routing_key: r, custom_fields: {entity_id: x}}]", "a field of its own"),
        ("wechat_configs: [{api_secret: s, corp_id: c, message_type: image}]", "expected text or markdown"),
        ("jira_configs: [{api_url: u, project: p, issue_type: t, api_type: sky}]", "expected auto"),
        ("sns_configs: [{topic_arn: a, target_arn: b, sigv4: {}}]", "only one of"),
        ("incidentio_configs: [{url: 'http://x', http_config: {}}]", "must be set"),
        ("webhook_configs: [{url: 'http://x', http_config: {basic_auth: {}, bearer_token: t}}]", "at most one of basic_auth"),
        ("webhook_configs: [{url: 'http://x', http_config: {oauth2: {client_id: i}}}]", "token_url must be"),
        ("webhook_configs: [{url: 'http://x', http_config: {proxy_from_environment: true, no_proxy: x}}]", "neither proxy_url"),
        ("webhook_configs: [{url: 'http://x', http_config: {http_headers: {Host: {values: [x]}}}}]", "not allowed"),
        ("webhook_configs: [{url: 'http://x', http_config: {nonsense: 1}}]", "nonsense"),
    ],
)
def test_what_alertmanager_refuses_of_one_receiver_is_refused_at_its_line(receiver: str, words: str) -> None:
    routing, problems = check(RECEIVER % receiver)
    assert routing is None
    (problem,) = problems
    assert words in problem.message or words in problem.path, problem
    assert problem.place.line == 4


def test_a_template_anywhere_in_a_compatible_receiver_is_judged_at_its_place() -> None:
    _, problems = check(RECEIVER % "opsgenie_configs: [{api_key: k, responders: [{name: '{{ nope }}', type: team}]}]")
    (problem,) = problems
    assert (problem.path, problem.warning) == ("receivers[0].opsgenie_configs[0].responders[0].name", False)


def test_http_config_of_global_holds_where_a_receiver_says_nothing() -> None:
    config = "global: {http_config: {proxy_url: 'http://p:1', no_proxy: .shop}}\n" + RECEIVER % (
        "slack_configs: [{api_url: 'https://x'}, {api_url: 'https://y', http_config: {follow_redirects: false}}]"
    )
    routing = routing_of_text(config)
    first, second = routing.receivers["r"].destinations
    assert first.settings["http_config"].proxy.url == "http://p:1"
    assert (second.settings["http_config"].proxy.url, second.settings["http_config"].follow_redirects) == ("", False)


def test_a_text_that_tocsin_writes_itself_is_a_warning() -> None:
    text = "route: {receiver: r}\nreceivers:\n  - name: r\n    discord_configs: [{webhook_url: 'https://x', content: t}]\n"
    routing, problems = check(text)
    assert routing is not None
    assert [problem.warning for problem in problems] == [True]


SLACK = "route: {receiver: r}\nreceivers:\n  - name: r\n    slack_configs:\n    - api_url: https://x\n      %s\n"


@pytest.mark.parametrize(
    ("config", "silent"),
    [
        ("discord_configs: [{webhook_url: https://d.example/x, username: bot}]", "username"),
        ("pushover_configs: [{user_key: u, token: t, priority: '2'}]", "priority"),
        ("email_configs: [{to: a@example.org, from: b@example.org, smarthost: 'm:25', hello: me}]", "hello"),
        ("slack_configs: [{api_url: https://hooks.slack.example/x, timeout: 5s}]", "timeout"),
    ],
)
def test_a_setting_that_has_no_effect_is_said_at_its_line(config: str, silent: str) -> None:
    text = f"route: {{receiver: x}}\nreceivers:\n  - name: x\n    {config}\n"
    _, problems = check(text)
    (problem,) = problems
    assert problem.warning and problem.place.line == 4
    assert problem.path.endswith(silent) and "has no effect" in problem.message


def test_texts_of_a_receiver_are_kept_and_the_rest_is_said() -> None:
    routing, problems = check(SLACK % "title: '{{ .Status }}'\n      text: plain\n      color: red")
    assert routing is not None
    (destination,) = routing.receivers["r"].destinations
    assert destination.settings["texts"] == {"title": "{{ .Status }}", "text": "plain"}
    assert [(problem.path, problem.warning) for problem in problems] == [("receivers[0].slack_configs[0].color", True)]


@pytest.mark.parametrize(
    ("title", "words", "warning"),
    [
        ("{{ .Status | rot13 }}", "not a template that Tocsin can run", False),
        ("{{ if .Status }}", "not a template that Tocsin can run", False),
        ('{{ template "away" . }}', "no template is named 'away'", True),
    ],
)
def test_a_text_that_cannot_be_run_is_told_at_its_line(title: str, words: str, warning: bool) -> None:
    _, problems = check(SLACK % f"title: '{title}'")
    (problem,) = problems
    assert (problem.place.line, problem.warning) == (6, warning)
    assert words in problem.message


def test_the_files_of_templates_lend_theirs(tmp_path: Path) -> None:
    (tmp_path / "a.tmpl").write_text('{{ define "mine" }}{{ .Status }}{{ end }}')
    text = f"templates: ['{tmp_path}/*.tmpl']\n" + SLACK % "title: '{{ template \"mine\" . }}'"
    routing, problems = check(text)
    assert problems == []
    assert routing is not None
    assert list(routing.receivers["r"].destinations[0].settings["text_library"]) == [str(tmp_path / "a.tmpl")]
    (tmp_path / "b.tmpl").write_text("{{ define")
    _, problems = check(text)
    assert [(problem.place.line, problem.warning) for problem in problems] == [(1, False)]
    assert "b.tmpl: line 1" in problems[0].message


def test_headers_of_a_mail_give_its_subject_alone() -> None:
    mail = "{to: a@b.example, from: t@b.example, smarthost: 'm:25', headers: {Subject: '{{ .Status }}', X-A: b}, html: h}"
    routing, problems = check(f"route: {{receiver: r}}\nreceivers:\n  - name: r\n    email_configs: [{mail}]\n")
    assert routing is not None
    assert routing.receivers["r"].destinations[0].settings["texts"] == {"subject": "{{ .Status }}", "html": "h"}
    assert [problem.path for problem in problems] == ["receivers[0].email_configs[0].headers.X-A"]


WINDOW = {"name": "m", "matchers": ["a=b"], "start": "2026-01-01 00:00", "duration": "1h"}


def test_a_maintenance_window_is_built() -> None:
    given = {**WINDOW, "rrule": "FREQ=WEEKLY;BYDAY=SU", "time_zone": "Europe/Paris"}
    window = MaintenanceSection.model_validate(given).build()
    assert (window.name, window.occurrences.duration_ms, window.occurrences.time_zone) == ("m", 3_600_000, "Europe/Paris")
    until = {name: value for name, value in WINDOW.items() if name != "duration"} | {"end": "2026-01-01T02:00"}
    assert MaintenanceSection.model_validate(until).build().occurrences.duration_ms == 7_200_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matchers": ['a=~".*"']}, "not meant"),
        ({"duration": 0}, "either end or duration"),
        ({"start": "soon"}, "local time"),
        ({"start": "2026-01-01T00:00:00+01:00"}, "without an offset"),
        ({"rrule": "FREQ=HOURLY"}, "FREQ"),
        ({"time_zone": "Mars/Base"}, "time zone"),
    ],
)
def test_a_maintenance_window_that_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MaintenanceSection.model_validate({**WINDOW, **change})


def test_without_a_route_the_built_in_one_holds() -> None:
    tree = parse_yaml("receivers:\n  - name: mine\n", "tocsin.yaml")
    config, problems = read_alertmanager(tree.value, tree, route_needed=False)
    assert config is not None
    assert not problems
    routing, _ = build_routing(config, tree, read_file=read_secret)
    assert routing.root.receiver == "mine"
    assert routing.root.critical_group_wait_ms == 0


EVERY_CHANNEL = """
global: {smtp_smarthost: "mail:25", smtp_from: "a@b.example", slack_api_url: "https://hooks.slack.example/x"}
route: {receiver: r}
receivers:
  - name: r
    email_configs: [{to: "x@y.example", require_tls: false}]
    slack_configs: [{channel: "#a"}, {app_token: xoxb-1, channel: C1}]
    pagerduty_configs: [{routing_key: "0123456789abcdef0123456789abcdef"}, {service_key: "0123456789abcdef0123456789abcdef"}]
    webhook_configs: [{url: "http://hook.example/", max_alerts: 5, timeout: 3s}]
    telegram_configs: [{bot_token: "1:x", chat_id: 5, message_thread_id: 7}]
    msteamsv2_configs: [{webhook_url: "https://teams.example/x"}]
    discord_configs: [{webhook_url: "https://discord.example/x"}]
    pushover_configs: [{user_key: u, token: t, device: d}]
    mattermost_configs: [{webhook_url: "https://mm.example/x", channel: town}]
    opsgenie_configs: [{api_key: k, responders: [{name: "a,b", type: teams}], details: {n: 1}, priority: P1, update_alerts: true}]
    victorops_configs: [{api_key: k, routing_key: r, custom_fields: {n: 1}}]
    msteams_configs: [{webhook_url: "https://teams.example/x", text: "{{ .Status }}"}]
    wechat_configs: [{api_secret: s, corp_id: c, agent_id: 1000002, to_user: "@all", message_type: markdown}]
    sns_configs: [{topic_arn: t, sigv4: {region: r, access_key: a, secret_key: s, role_arn: x}, attributes: {n: 1}}]
    webex_configs: [{room_id: r, http_config: {authorization: {credentials: t}}}]
    jira_configs:
    - {api_url: "https://j.example/rest/api/2", project: P, issue_type: Bug, reopen_duration: 1h, labels: [a],
       summary: {template: t, enable_update: false}, fields: {customfield_1: {id: 1}}}
    incidentio_configs: [{url: "https://i.example/x", alert_source_token: t, max_alerts: 5, timeout: 3s}]
    rocketchat_configs: [{token: t, token_id: i, channel: "#a", fields: [{title: t, value: v}], actions: [{text: t, url: u}]}]
"""


def test_every_destination_is_one_that_its_channel_accepts() -> None:
    routing = routing_of_text(EVERY_CHANNEL)
    destinations = routing.receivers["r"].destinations
    assert len(destinations) == 20
    for destination in destinations:
        build(destination.channel, destination.settings)
    assert {kind.channel for kind in KINDS.values() if kind.channel} == {d.channel for d in destinations}
