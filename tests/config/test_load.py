"""From files to typed values: what a user writes arrives, and what is wrong is named with file, line, path and a way out."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tocsin.config.config import Config
from tocsin.config.load import build
from tocsin.config.sources import read_sources
from tocsin.errors import ConfigError
from tocsin.model.incident import TargetKind


def write(folder: Path, text: str, name: str = "tocsin.yaml") -> Path:
    path = folder / name
    path.write_text(dedent(text))
    return path


def load(folder: Path, text: str) -> Config:
    return build(read_sources([write(folder, text)]))


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems if not problem.warning]


FULL = """
    external_url: https://tocsin.example
    checks:
      - name: shop
        http: "http://127.0.0.1:8000/health"
        every: 30s
        labels: {service: shop}
        alert: {severity: critical, failures: 2}
      - {name: db, tcp: "127.0.0.1:5432"}
    scrape_configs:
      - job_name: shop
        static_configs: [{targets: ["127.0.0.1:8000"]}]
    global: {scrape_interval: 15s, smtp_smarthost: "127.0.0.1:25", smtp_from: tocsin@shop.example, smtp_require_tls: false}
    users:
      - name: ana
        email: ana@shop.example
        contact: [{slack: "https://hooks.example/secret"}]
        quiet_hours: {from: "22:00", to: "07:00"}
      - {name: ben, email: ben@shop.example}
    policies:
      - {name: default, steps: [{notify: ana, wait: 1m}, {notify: [ben, team:web]}]}
    teams: [{name: web, members: [ana, ben]}]
    services: [{name: shop, policy: default, runbook: "https://runbooks.example/shop"}]
"""


def test_one_file_reaches_every_stage(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    assert [spec.id for spec in config.checks] == ["shop", "db"]
    assert config.checks[0].every_ms == 30_000
    assert config.checks[0].failures == 2
    assert config.checks[0].source.endswith("tocsin.yaml:4:5")
    assert [job.name for job in config.jobs] == ["shop"]
    assert config.jobs[0].interval_ms == 15_000
    ana = config.directory.persons["ana"]
    assert [(method.id, method.channel) for method in ana.methods] == [("slack", "slack"), ("email", "email")]
    assert ana.quiet_hours is not None
    assert ana.quiet_hours.start_minute == 22 * 60
    steps = config.directory.policies["default"].steps
    assert [[(t.kind, t.name) for t in step.targets] for step in steps] == [
        [(TargetKind.USER, "ana")],
        [(TargetKind.USER, "ben"), (TargetKind.TEAM, "web")],
    ]
    assert config.routing.receivers[config.routing.root.receiver].policy == "default"
    assert config.channels.problems() == []
    assert not config.nobody_paged
    assert config.warnings == ()


def test_a_chat_address_is_a_secret_that_nobody_is_shown(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    assert "hooks.example/secret" not in config.text
    assert all("secret" not in method.address for person in config.directory.persons.values() for method in person.methods)


def test_an_empty_file_watches_the_host_and_says_that_nobody_is_paged(tmp_path: Path) -> None:
    config = load(tmp_path, "")
    assert config.nobody_paged
    assert "nobody is paged" in str(config.warnings[-1])
    assert any("host" in group.name.lower() for group in config.rule_groups)


def test_no_file_at_all_is_an_empty_one_unless_it_was_asked_for(tmp_path: Path) -> None:
    assert build(read_sources([tmp_path / "tocsin.yaml"], optional=True)).checks == ()
    with pytest.raises(ConfigError, match="no such file"):
        read_sources([tmp_path / "tocsin.yaml"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("checks: [}", "tocsin.yaml:1:10: this is not valid YAML"),
        ("chekcs: []", "tocsin.yaml:1:1: chekcs: unknown section 'chekcs'; did you mean 'checks'?"),
        ("checks:\n  - {name: a, http: 'http://x', evry: 5s}", "tocsin.yaml:2:33: checks[0].evry: unknown key 'evry'"),
        ("checks:\n  - {name: a, http: 'http://x', every: 5}", "tocsin.yaml:2:33: checks[0].every:"),
        ("checks:\n  - name: a\n    http: ftp://x", "tocsin.yaml:3:5: checks[0].http"),
        ("checks: [{name: a, tcp: 'h:1'}, {name: a, tcp: 'h:2'}]", "another check is called 'a' too"),
        ("users: [{name: ana, email: nomail}]", "users[0].email: 'nomail' is not an e-mail address"),
        (
            "users: [{name: ana}]\npolicies: [{name: p, steps: [{notify: bob}]}]",
            "policies[0].steps[0].notify: there is no user 'bob'",
        ),
        ("external_url: tocsin", "tocsin.yaml:1:1: external_url: expected an absolute URL"),
        ("users: [{name: a, time_zone: Mars/Base}]", "unknown time zone 'Mars/Base'"),
        ("a: 1\na: 2", "the key 'a' is set twice"),
        ("rule_files: [missing.yml]", "tocsin.yaml:1:14: rule_files[0]: there is no file"),
        ("route: {receiver: nobody}", "there is no receiver named 'nobody'"),
        (
            "global: {scrape_intervall: 5s}",
            "global.scrape_intervall: unknown key 'scrape_intervall'; did you mean 'scrape_interval'?",
        ),
        ("users: [{name: a, contact: [{pager: '1'}]}]", "unknown channel 'pager'"),
        (
            "users: [{name: a, email: {env: TOCSIN_NO_SUCH_VARIABLE}}]",
            "the environment variable TOCSIN_NO_SUCH_VARIABLE is not set",
        ),
        ("schedules: [{name: s, layers: [{users: [x], anchor: soon, period: {unit: days}}]}]", "schedules[0]: layers[0]"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert any(expected in line for line in found), found


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "checks:\n  - {name: a}\n  - {name: b, http: 'http://x', bad: 1}\nusers: [{name: ''}]")
    assert len(found) >= 3


def test_secrets_come_from_files_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hook").write_text("https://hooks.example/abc\n")
    monkeypatch.setenv("ANA_MAIL", "ana@shop.example")
    config = load(tmp_path, "users: [{name: ana, email: {env: ANA_MAIL}, contact: [{slack: {file: hook}}]}]")
    ana = config.directory.persons["ana"]
    assert ana.email == "ana@shop.example"
    assert "abc" in str(ana.methods[0].settings)


def test_a_folder_of_files_is_one_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    write(folder, "checks: [{name: a, tcp: 'h:1'}]", "a.yaml")
    write(folder, "checks: [{name: b, tcp: 'h:2'}]\nglobal: {scrape_interval: 5s}", "b.yaml")
    config = build(read_sources([folder]))
    assert [spec.id for spec in config.checks] == ["a", "b"]
    assert config.checks[1].source.endswith("b.yaml:1:10")


def test_the_same_key_set_differently_in_two_files_is_an_error(tmp_path: Path) -> None:
    first = write(tmp_path, "external_url: https://a.example", "a.yaml")
    second = write(tmp_path, "external_url: https://b.example", "b.yaml")
    with pytest.raises(ConfigError, match=r"b.yaml:1:1: external_url: is set differently at .*a.yaml:1:1"):
        build(read_sources([first, second]))


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"] + [
        f"{c}: &{c} [{', '.join([f'*{p}'] * 10)}]" for p, c in zip("abcdefg", "bcdefgh", strict=True)
    ]
    assert "too many" in problems(tmp_path, "\n".join(lines))[0]


def test_rule_files_are_read_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    write(tmp_path / "rules", "groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]", "a.yml")
    config = load(tmp_path, "rule_files: [rules/*.yml]")
    assert "g" in [group.name for group in config.file_rules]
    write(tmp_path / "rules", "groups: [{name: g, rules: [{alert: Down, expr: 'up =='}]}]", "a.yml")
    assert any("rules/a.yml:1" in line for line in problems(tmp_path, "rule_files: [rules/*.yml]"))


def test_the_last_good_sources_build_the_same_configuration(tmp_path: Path) -> None:
    from tocsin.config.sources import Sources

    sources = read_sources([write(tmp_path, FULL)])
    again = build(Sources.from_json(sources.to_json()))
    assert again.checks == build(sources).checks


def test_links_begin_with_the_address_we_listen_on_when_none_is_given(tmp_path: Path) -> None:
    sources = read_sources([write(tmp_path, "users: [{name: ana, email: ana@shop.example}]\nweb: {route_prefix: /t}")])
    config = build(sources, address="127.0.0.1:18911")
    assert config.external_url == config.channels.external_url == config.directory.external_url == "http://127.0.0.1:18911/t"
    assert config.channels.host == "127.0.0.1"


def test_templates_are_watched_and_part_of_the_last_good_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.tmpl").write_text('{{ define "mine" }}{{ .Status }}{{ end }}')
    slack = "{api_url: 'https://hooks.example/x', channel: '#a', title: '{{ template \"mine\" . }}'}"
    text = f"templates: ['*.tmpl']\nroute: {{receiver: r}}\nreceivers:\n  - name: r\n    slack_configs: [{slack}]\n"
    (tmp_path / "tocsin.yaml").write_text(text)
    sources = read_sources([tmp_path / "tocsin.yaml"])
    config = build(sources)
    assert tmp_path / "mine.tmpl" in config.watched
    (tmp_path / "mine.tmpl").unlink()
    from tocsin.config.sources import Sources

    again = build(Sources.from_json(sources.to_json()))
    assert again.routing.receivers == config.routing.receivers
    assert again.routing.receivers["r"].destinations[0].settings["text_library"]


def test_rules_look_back_by_the_global_offset_unless_they_name_their_own(tmp_path: Path) -> None:
    rules = "rules: [{record: a:b, expr: x}]"
    write(
        tmp_path,
        f"groups: [{{name: a, {rules}}}, {{name: b, query_offset: 0s, {rules}}}, {{name: c, query_offset: 5m, {rules}}}]",
        "r.yml",
    )
    config = load(tmp_path, "global: {rule_query_offset: 1m}\nrule_files: [r.yml]\nshipped_rules: false")
    assert [group.query_offset_ms for group in config.file_rules] == [60_000, 0, 300_000]


def test_the_mail_server_s_password_may_stand_in_a_file(tmp_path: Path) -> None:
    mail = 'smtp_smarthost: "mail:465", smtp_from: t@shop.example, smtp_auth_username: t, smtp_force_implicit_tls: true'
    text = f"global: {{{mail}, smtp_auth_password_file: word}}\n"
    assert any("global.smtp_auth_password_file: cannot be read" in problem for problem in problems(tmp_path, text))
    write(tmp_path, "hush\n", "word")
    assert load(tmp_path, text).channels.defaults["email"] == {
        "smarthost": "mail:465",
        "from": "t@shop.example",
        "auth_username": "t",
        "auth_password": "hush",
        "require_tls": True,
        "security": "tls",
    }
