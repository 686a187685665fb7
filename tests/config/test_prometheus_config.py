"""prometheus.yml's scrape part: every key of 3.5 is read, refused or doubted by name, with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tocsin.collect.relabel import Action
from tocsin.collect.target import DnsDiscovery, FileDiscovery, HttpDiscovery, UnsupportedDiscovery, target_of
from tocsin.config.prometheus import PrometheusPart, read
from tocsin.config.prometheus_scrape import UNSUPPORTED_DISCOVERY
from tocsin.errors import ConfigError
from tocsin.formats.yaml_tree import parse_yaml
from tocsin.model.labels import EMPTY_LABELS

FULL = """
global:
  scrape_interval: 15s
  scrape_timeout: 5s
  evaluation_interval: 30s
  external_labels: {cluster: a, shard: 1}
  body_size_limit: 15MB
  sample_limit: 1500
scrape_configs:
  - job_name: full
    honor_labels: true
    honor_timestamps: false
    track_timestamps_staleness: true
    scrape_interval: 50s
    scrape_timeout: 5s
    scrape_protocols: [PrometheusText0.0.4]
    fallback_scrape_protocol: PrometheusText0.0.4
    metrics_path: /my_path
    scheme: https
    params: {module: [a, b], one: c}
    enable_compression: false
    enable_http2: false
    follow_redirects: false
    authorization: {type: Token, credentials: hidden}
    tls_config: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem, server_name: x, min_version: TLS12}
    http_headers:
      X-Tenant: {values: [one], secrets: [two]}
    body_size_limit: 10MB
    sample_limit: 1000
    label_limit: 35
    label_name_length_limit: 210
    label_value_length_limit: 211
    target_limit: 35
    keep_dropped_targets: 10
    metric_name_validation_scheme: utf8
    static_configs:
      - targets: ['localhost:9090', 'localhost:9191']
        labels: {my: label, your: 2}
    file_sd_configs:
      - files: [foo/*.slow.json, 'single/file.yml']
        refresh_interval: 10m
    dns_sd_configs:
      - names: [first.dns.address.domain.com]
      - names: [a.example]
        type: A
        port: 9100
        refresh_interval: 15s
    http_sd_configs:
      - url: http://sd.example/targets
        basic_auth: {username: u, password: p}
    relabel_configs:
      - source_labels: [job, __meta_dns_name]
        regex: (.*)some-[regex]
        target_label: job
        replacement: foo-${1}
      - action: HashMod
        source_labels: [abc]
        target_label: cde
        modulus: 8
      - regex: 1
        action: labeldrop
    metric_relabel_configs:
      - {source_labels: [__name__], regex: 'go_.*', action: drop}
  - job_name: plain
    static_configs: [{targets: ['x:1']}]
"""


def read_text(text: str, file: str = "/etc/prometheus/prometheus.yml") -> PrometheusPart:
    tree = parse_yaml(text, file)
    return read(tree.value, tree)


def test_a_full_entry_becomes_a_job() -> None:
    part = read_text(FULL)
    full, plain = part.jobs
    assert part.evaluation_interval_ms == 30_000
    assert part.external_labels == {"cluster": "a", "shard": "1"}
    assert part.warnings == ()
    assert (full.interval_ms, full.timeout_ms, full.scheme, full.path) == (50_000, 5_000, "https", "/my_path")
    assert full.params == {"module": ("a", "b"), "one": ("c",)}
    assert (full.honor_labels, full.honor_timestamps, full.track_timestamps_staleness, full.compression) == (
        True,
        False,
        True,
        False,
    )
    assert full.limits.body_bytes == 10 << 20
    assert (full.limits.samples, full.limits.labels, full.limits.targets, full.limits.keep_dropped_targets) == (1000, 35, 35, 10)
    assert dict(full.static[0].labels) == {"my": "label", "your": "2"}
    assert full.discovery[0] == FileDiscovery(("/etc/prometheus/foo/*.slow.json", "/etc/prometheus/single/file.yml"), 600_000)
    http = next(d for d in full.discovery if isinstance(d, HttpDiscovery))
    assert (http.url, http.http.username, http.http.password) == ("http://sd.example/targets", "u", "p")
    assert [d for d in full.discovery if isinstance(d, DnsDiscovery)][1] == DnsDiscovery(("a.example",), "A", 9100, 15_000)
    assert [rule.action for rule in full.relabel] == [Action.REPLACE, Action.HASH_MOD, Action.LABEL_DROP]
    assert full.metric_relabel[0].regex == "go_.*"
    assert (full.http.authorization, full.http.credentials) == ("Token", "hidden")
    assert full.http.tls.ca_file == "/etc/prometheus/ca.pem"
    assert full.http.headers == {"X-Tenant": ("one", "two")}
    assert full.fallback_protocol == "PrometheusText0.0.4"
    assert (plain.interval_ms, plain.timeout_ms, plain.limits.samples) == (15_000, 5_000, 1500)
    assert "hidden" not in repr(full), "secrets do not show"


def test_nothing_at_all_is_valid_and_defaults_are_prometheus_s() -> None:
    part = read_text("")
    assert (part.jobs, part.evaluation_interval_ms) == ((), 60_000)
    (job,) = read_text("scrape_configs: [{job_name: a}]").jobs
    assert (job.interval_ms, job.timeout_ms, job.path, job.scheme) == (60_000, 10_000, "/metrics", "http")
    (short,) = read_text("scrape_configs: [{job_name: a, scrape_interval: 5s}]").jobs
    assert short.timeout_ms == 5_000


@pytest.mark.parametrize(
    ("entry", "path", "said"),
    [
        ("{job_name: a, scrape_intervall: 5s}", "scrape_configs[0].scrape_intervall", "unknown key"),
        ("{scheme: http}", "scrape_configs[0].job_name", "missing"),
        ("{job_name: a, scrape_interval: 5}", "scrape_configs[0].scrape_interval", "with a unit"),
        (
            "{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}",
            "scrape_configs[0]",
            "scrape timeout greater than scrape interval",
        ),
        (
            "{job_name: a, static_configs: [{targets: ['http://x']}]}",
            "scrape_configs[0]",
            "static_configs[0].targets[0]: 'http://x' is not a valid hostname",
        ),
        (
            "{job_name: a, file_sd_configs: [{files: [x.txt]}]}",
            "scrape_configs[0].file_sd_configs[0].files[0]",
            "not valid for file",
        ),
        ("{job_name: a, dns_sd_configs: [{names: [x], type: A}]}", "scrape_configs[0].dns_sd_configs[0]", "port is required"),
        ("{job_name: a, http_sd_configs: [{url: x}]}", "scrape_configs[0].http_sd_configs[0].url", "expected a URL"),
        ("{job_name: a, relabel_configs: [{regex: '(a'}]}", "scrape_configs[0].relabel_configs[0].regex", "RE2"),
        ("{job_name: a, relabel_configs: [{action: replace}]}", "scrape_configs[0].relabel_configs[0]", "'target_label'"),
        (
            "{job_name: a, relabel_configs: [{action: hashmod, target_label: b}]}",
            "scrape_configs[0].relabel_configs[0]",
            "modulus",
        ),
        (
            "{job_name: a, relabel_configs: [{action: labeldrop, target_label: b}]}",
            "scrape_configs[0].relabel_configs[0]",
            "only",
        ),
        ("{job_name: a, relabel_configs: [{action: nope}]}", "scrape_configs[0].relabel_configs[0].action", "replace"),
        ("{job_name: a, proxy_url: 'socks4://p'}", "scrape_configs[0].proxy_url", "http:// or https:// or socks5://"),
        (
            "{job_name: a, http_sd_configs: [{url: 'http://a', proxy_url: 'socks5://p'}]}",
            "scrape_configs[0].http_sd_configs[0].proxy_url",
            "SOCKS is for scrapes",
        ),
        ("{job_name: a, oauth2: {client_id: x}}", "scrape_configs[0].oauth2", "token_url must be configured"),
        ("{job_name: a, basic_auth: {username: u}, authorization: {credentials: x}}", "scrape_configs[0]", "at most one"),
        ("{job_name: a, tls_config: {cert_file: x}}", "scrape_configs[0].tls_config", "client certificate"),
        ("{job_name: a, scrape_protocols: [Foo]}", "scrape_configs[0].scrape_protocols", "unknown scrape protocol"),
        ("{job_name: a, body_size_limit: lots}", "scrape_configs[0].body_size_limit", "expected a size"),
        ("{job_name: a}, {job_name: a}", "scrape_configs[1].job_name", "two scrape jobs are named 'a'"),
    ],
)
def test_errors_have_a_place_and_a_path(entry: str, path: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(f"\nscrape_configs: [{entry}]")
    (problem,) = caught.value.problems
    assert (problem.path, problem.place.line) == (path, 2)
    assert said in problem.message


def test_a_target_may_be_a_url_where_relabelling_makes_the_address() -> None:
    """The scrape job of every blackbox_exporter."""
    rules = "[{source_labels: [__address__], target_label: __param_target}, {target_label: __address__, replacement: 'x:9115'}]"
    entry = f"{{job_name: a, static_configs: [{{targets: ['https://shop.example/']}}], relabel_configs: {rules}}}"
    (job,) = read_text(f"scrape_configs: [{entry}]").jobs
    target, _ = target_of(job, EMPTY_LABELS, "https://shop.example/")
    assert target is not None and target.url == "http://x:9115/metrics?target=https%3A%2F%2Fshop.example%2F"
    with pytest.raises(ValueError, match="not a valid hostname"):
        target_of(replace(job, relabel=()), EMPTY_LABELS, "https://shop.example/")


@pytest.mark.parametrize("key", sorted(UNSUPPORTED_DISCOVERY))
def test_an_unsupported_discovery_is_a_fault_with_its_place_and_leaves_the_rest_to_work(key: str) -> None:
    jobs = f"[{{job_name: a, {key}: [{{}}], static_configs: [{{targets: ['h:1']}}]}}, {{job_name: b}}]"
    part = read_text(f"scrape_configs:\n  {jobs}")
    assert [(fault.path, fault.place.line) for fault in part.faults] == [(f"scrape_configs[0].{key}", 2)]
    assert "the job 'a' is not watched" in part.faults[0].message and "http_sd_configs" in part.faults[0].message
    first, second = part.jobs
    assert first.static[0].targets == ("h:1",) and isinstance(first.discovery[0], UnsupportedDiscovery)
    assert second.discovery == ()
    assert read_text(f"scrape_configs: [{{job_name: a, {key}: }}]").faults == (), "a key without a value is not set"


def test_keys_without_effect_are_doubted() -> None:
    part = read_text(
        "storage: {tsdb: {out_of_order_time_window: 30m}}\n"
        "scrape_configs: [{job_name: a, scrape_failure_log_file: x, always_scrape_classic_histograms: true, "
        "scrape_protocols: [PrometheusProto, PrometheusText0.0.4]}]\n"
    )
    assert [warning.path for warning in part.warnings] == [
        "scrape_configs[0].scrape_failure_log_file",
        "scrape_configs[0].always_scrape_classic_histograms",
        "scrape_configs[0].scrape_protocols",
        "storage",
    ]
    assert part.jobs[0].protocols == ("PrometheusText0.0.4",)


def test_scrape_config_files_are_read_with_their_own_places(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "one.yml").write_text("scrape_configs:\n  - job_name: one\n    file_sd_configs: [{files: [t.json]}]\n")
    main = tmp_path / "prometheus.yml"
    text = "scrape_config_files: ['jobs/*.yml']\nscrape_configs: [{job_name: main}]\n"
    part = read_text(text, str(main))
    assert [job.name for job in part.jobs] == ["main", "one"]
    assert part.jobs[1].discovery == (FileDiscovery((str(tmp_path / "jobs" / "t.json"),)),)
    (tmp_path / "jobs" / "two.yml").write_text("scrape_configs:\n  - job_name: two\n    bad: 1\n")
    with pytest.raises(ConfigError) as caught:
        read_text(text, str(main))
    assert (caught.value.problems[0].place.file, caught.value.problems[0].place.line) == (str(tmp_path / "jobs" / "two.yml"), 3)
