"""`alerting` of prometheus.yml: which Alertmanagers are found, and what they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from tests.conformance.alertmanager_peer import real_alertmanager

from tocsin.app.alertmanagers import AlertmanagerFinder, targets_of
from tocsin.clock import SystemClock
from tocsin.config.alerting import AlertmanagerGroup, read_alerting
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import parse_yaml
from tocsin.model.alert import Alert
from tocsin.model.httpclient import BasicAuth, HttpClient
from tocsin.model.labels import Labels
from tocsin.notify.client import ConfiguredHttp
from tocsin.notify.http import RealHttp
from tocsin.remote.alertmanager import AlertmanagerTarget, Forwarder

NOW_MS = SystemClock().now_ms()


def read(text: str, file: str = "prometheus.yml") -> tuple[tuple[AlertmanagerGroup, ...], list[Problem]]:
    tree = parse_yaml(text, file)
    return read_alerting(tree.value["alerting"], tree)


def test_static_members_are_relabelled_as_prometheus_does_it() -> None:
    groups, problems = read("""
alerting:
  alert_relabel_configs: [{regex: replica, action: labeldrop}]
  alertmanagers:
    - scheme: https
      path_prefix: /am/
      timeout: 5s
      basic_auth: {username: u, password: p}
      proxy_url: http://proxy:3128
      static_configs: [{targets: [one:9093, two:9093, three:9093], labels: {site: a}}]
      relabel_configs:
        - {source_labels: [__address__], regex: two.*, action: drop}
        - {source_labels: [__address__, site], regex: "three:9093;a", target_label: __alerts_path__, replacement: /in}
      alert_relabel_configs: [{source_labels: [severity], regex: info, action: drop}]
""")
    assert not problems
    one, three = targets_of(groups[0], groups[0].job.static)
    assert (one.url, one.path, one.timeout_s) == ("https://one:9093/am", "/api/v2/alerts", 5.0)
    assert (three.url, three.path) == ("https://three:9093/in", "")
    assert one.http is not None and one.http.basic_auth == BasicAuth("u", "", "p") and one.http.proxy.url
    assert one.rewrite is not None
    assert one.rewrite({"a": "b", "replica": "1"}) == {"a": "b"}
    assert one.rewrite({"a": "b", "severity": "info"}) is None


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("alerting: {alertmanager: []}", "unknown key 'alertmanager'", 1),
        ("alerting:\n  alertmanagers:\n  - kubernetes_sd_configs: [{role: shop}]", "'node', 'pod'", 3),
        ("alerting:\n  alertmanagers:\n  - api_version: v1", "v2", 3),
        ("alerting:\n  alertmanagers:\n  - static_configs: [{targets: ['http://x']}]", "not a valid hostname", 3),
        ("alerting:\n  alert_relabel_configs:\n  - {action: hashmod}", "target_label", 3),
        ("alerting:\n  alertmanagers:\n  - sigv4: {}", "sigv4", 3),
    ],
)
def test_what_cannot_be_done_is_refused_at_its_line(text: str, words: str, line: int) -> None:
    groups, problems = read(text)
    assert groups == ()
    assert any(words in str(problem) and problem.place.line == line for problem in problems), [str(p) for p in problems]


async def test_members_in_a_file_are_found_and_followed(tmp_path: Path) -> None:
    file = tmp_path / "ams.json"
    file.write_text('[{"targets": ["one:9093"]}]')
    groups, problems = read(
        "alerting: {alertmanagers: [{file_sd_configs: [{files: ['*.json'], refresh_interval: 1s}]}]}", str(tmp_path / "p.yml")
    )
    assert not problems
    told: list[Sequence[AlertmanagerTarget]] = []
    finder = AlertmanagerFinder(clock=SystemClock(), found=told.append)
    finder.apply(groups)
    running = asyncio.create_task(finder.run())
    try:
        for addresses in (["one:9093"], ["one:9093", "two:9093"]):
            file.write_bytes(orjson.dumps([{"targets": addresses}]))
            async with asyncio.timeout(20):
                while [target.url for target in told[-1]] != [f"http://{address}" for address in addresses]:
                    await asyncio.sleep(0.05)
    finally:
        running.cancel()


@pytest.mark.peer
async def test_the_real_alertmanager_gets_the_alerts_relabelled_under_its_prefix(tmp_path: Path) -> None:
    firing = [Alert(Labels({"alertname": "A", "replica": "1", "n": n}), {}, NOW_MS, source="rule:a") for n in ("keep", "drop")]

    async def alerts(_since_ms: int) -> Sequence[Alert]:
        return firing

    config = "{route: {receiver: r}, receivers: [{name: r}]}"
    with real_alertmanager(tmp_path, config) as real:
        groups, problems = read(f"""
alerting:
  alert_relabel_configs:
    - {{regex: replica, action: labeldrop}}
    - {{source_labels: [n], regex: drop, action: drop}}
  alertmanagers:
    - path_prefix: /nowhere
      http_headers: {{X-Team: {{values: [ops]}}}}
      static_configs: [{{targets: ["{real.url.removeprefix("http://")}"]}}]
      relabel_configs: [{{target_label: __alerts_path__, replacement: /api/v2/alerts}}]
""")
        assert not problems
        clock = SystemClock()
        async with RealHttp() as http:

            def client(settings: HttpClient) -> ConfiguredHttp:
                return ConfiguredHttp(http, settings, now_ms=clock.now_ms)

            sending = Forwarder(alerts=alerts, http=http, clock=clock, external_labels={"site": "lab"}, http_with=client)
            AlertmanagerFinder(clock=clock, found=sending.apply).apply(groups)
            await sending.round()
        assert all(state.ok for state in sending.states.values()), sending.states
        shown = (await asyncio.to_thread(real.get, "/api/v2/alerts"))[1]
        assert [alert["labels"] for alert in shown] == [{"alertname": "A", "n": "keep", "site": "lab"}]


def test_members_that_nobody_can_name_are_warned_of_and_the_others_are_told() -> None:
    groups, problems = read("""
alerting:
  alertmanagers:
    - consul_sd_configs: [{server: consul.internal:8500}]
    - kubernetes_sd_configs: [{role: pod, api_server: "https://cluster.example", namespaces: {names: [monitoring]}}]
      relabel_configs: [{source_labels: [__meta_kubernetes_pod_label_app], regex: alertmanager, action: keep}]
    - docker_sd_configs: [{host: "unix:///var/run/docker.sock"}]
""")
    assert [(problem.path, problem.warning) for problem in problems] == [("alerting.alertmanagers[0].consul_sd_configs", True)]
    assert problems[0].place.line == 4 and "are told nothing" in problems[0].message
    assert [[type(found).__name__ for found in group.job.discovery] for group in groups] == [
        [],
        ["KubernetesDiscovery"],
        ["DockerDiscovery"],
    ]
