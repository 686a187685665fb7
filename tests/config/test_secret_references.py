"""`{env: NAME}` is a reference where a text is expected, and a label called env where names are the operator's own."""

from __future__ import annotations

from pathlib import Path

from tocsin.config.secrets import hide_secrets, resolve_secrets
from tocsin.formats.yaml_tree import parse_yaml

TEXT = """
scrape_configs:
  - {job_name: node, static_configs: [{targets: ["127.0.0.1:9100"], labels: {env: prod}}]}
checks:
  - {name: shop, http: "http://127.0.0.1/", labels: {file: a.txt}, headers: {Authorization: {env: KEY}}}
route: {receiver: a, routes: [{match: {env: prod}, receiver: a}]}
receivers: [{name: a, pagerduty_configs: [{routing_key: {env: KEY}, details: {env: prod}}]}]
"""


def test_a_label_called_env_is_a_label() -> None:
    value, problems = resolve_secrets(parse_yaml(TEXT, "prometheus.yml"), Path("."), {"KEY": "k"})
    assert not problems
    assert value["scrape_configs"][0]["static_configs"][0]["labels"] == {"env": "prod"}
    assert value["checks"][0]["labels"] == {"file": "a.txt"}
    assert value["checks"][0]["headers"] == {"Authorization": "k"}
    assert value["route"]["routes"][0]["match"] == {"env": "prod"}
    assert value["receivers"][0]["pagerduty_configs"] == [{"routing_key": "k", "details": {"env": "prod"}}]


def test_a_reference_to_nothing_is_a_problem_with_its_place() -> None:
    _, problems = resolve_secrets(parse_yaml("channels: {telegram: {bot_token: {env: NOPE}}}", "tocsin.yaml"), Path("."), {})
    assert [str(problem) for problem in problems] == [
        "tocsin.yaml:1:23: channels.telegram.bot_token: the environment variable NOPE is not set"
    ]


def test_headers_and_addresses_that_are_keys_are_hidden() -> None:
    shown = hide_secrets(
        {
            "checks": [
                {"http": "http://u:p4ss@shop/", "headers": {"X-Whatever": "k1", "Accept": "text/html", "Cookie": {"env": "C"}}},
                {"grpc": "shop:443", "metadata": {"authorization": "k2"}, "expect": {"headers": {"server": "nginx"}}},
            ],
            "scrape_configs": [{"http_headers": {"X-Key": {"values": ["k3"], "secrets": ["k4"], "files": ["k5.txt"]}}}],
            "dead_man": {"url": "https://hc.example/ping/k6", "every": "1m"},
        }
    )
    text = str(shown)
    assert not [key for key in ("p4ss", "k1", "k2", "k3", "k4", "k6") if key in text], text
    assert shown["checks"][0]["headers"] | {"X-Whatever": ""} == {"X-Whatever": "", "Accept": "text/html", "Cookie": {"env": "C"}}
    assert shown["checks"][1]["expect"] == {"headers": {"server": "nginx"}}
