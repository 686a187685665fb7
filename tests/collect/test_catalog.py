"""What an operator writes becomes a spec, or errors with the path of the field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tocsin.collect.catalog import check_of, check_types, parse_check, spec_for_url
from tocsin.model.check import CheckAlert


def errors(raw: dict[str, Any], source: str = "") -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        parse_check(raw, source=source)
    return [(".".join(map(str, e["loc"])), e["msg"]) for e in caught.value.errors(include_url=False)]


def test_the_example_of_the_documentation() -> None:
    spec = parse_check(
        {
            "name": "Shop: front page",
            "http": "https://shop.example/health",
            "every": "60s",
            "expect": {"status": 200, "body": {"contains": "ok"}, "latency": "< 1s"},
            "labels": {"service": "shop", "team": "web", "tier": 1},
            "alert": {"severity": "critical", "failures": 2},
        },
        source="tocsin.yaml:3",
    )
    assert (spec.id, spec.type, spec.target) == ("shop-front-page", "http", "https://shop.example/health")
    assert (spec.every_ms, spec.timeout_ms, spec.failures, spec.successes) == (60_000, 10_000, 2, 2)
    assert dict(spec.labels) == {"service": "shop", "team": "web", "tier": "1"}
    assert spec.settings["expect"] == {"status": [[200, 200]], "body": {"contains": "ok"}, "latency": "1s"}
    assert parse_check({"name": "x", "type": "http", "settings": dict(spec.settings)}).settings == spec.settings


def test_settings_may_stand_beside_or_below_the_type() -> None:
    flat = parse_check({"name": "a", "http": "https://a.example", "tls": {"verify": False}, "method": "HEAD"})
    below = parse_check({"name": "a", "http": {"url": "https://a.example", "tls": {"verify": False}, "method": "HEAD"}})
    assert flat == below


@pytest.mark.parametrize(
    ("raw", "path", "said"),
    [
        ({"name": "x", "http": "ftp://x"}, "http", "expected a URL such as"),
        ({"name": "x", "http": {"url": "http://x", "methode": "GET"}}, "http.methode", "unknown key 'methode'"),
        ({"name": "x", "http": "http://x", "expect": {"status": "ok"}}, "expect.status", "expected a status such as 200"),
        ({"name": "x", "http": "http://x", "expect": {"body": {"matches": "(a"}}}, "expect.body.matches", "RE2"),
        ({"name": "x", "http": "http://x", "every": 60}, "every", "with a unit such as 60s"),
        ({"name": "x", "http": "http://x", "every": "10ms"}, "every", "at least 1s"),
        ({"name": "x", "tcp": "nohost"}, "tcp", "expected host:port"),
        ({"name": "x", "tcp": "h:99999"}, "tcp", "less than or equal to 65535"),
        ({"name": "x"}, "", "expected one check type"),
        ({"name": "x", "http": "http://x", "tcp": "a:1"}, "tcp", "expected one check type"),
        ({"http": "http://x"}, "name", "missing"),
        ({"name": "x", "http": "http://x", "labels": {"check": "y"}}, "labels", "cannot be a check's label"),
        ({"name": "x", "http": "http://x", "alert": {"severty": "x"}}, "alert.severty", "unknown key"),
        ({"name": "x", "heartbeat": {"grace": "1m"}}, "heartbeat", "either `period` or `cron`"),
        ({"name": "x", "heartbeat": "99 * * * *"}, "heartbeat", "minute"),
        ({"name": "x", "heartbeat": {"period": "1h", "token": "short"}}, "heartbeat", "at least 16"),
        ({"name": "x", "type": "nope"}, "type", "unknown check type"),
        ({"name": "x", "type": "tcp", "settings": {"host": "h"}}, "settings.port", "missing"),
        ({"name": "x", "type": "tcp", "settings": {"host": "h", "port": 1}, "host": "h"}, "host", "under `settings`"),
    ],
)
def test_errors_name_the_field(raw: dict[str, Any], path: str, said: str) -> None:
    found = errors(raw)
    assert any(where == path and said in text for where, text in found), found


def test_every_problem_is_told_at_once() -> None:
    found = {where for where, _ in errors({"name": "x", "tcp": "h:1", "every": "x", "expect": {"foo": 1}, "bar": 2})}
    assert found == {"every", "expect.foo", "bar"}


@pytest.mark.parametrize(
    ("url", "kind", "target", "name"),
    [
        ("https://shop.example/health", "http", "https://shop.example/health", "shop.example/health"),
        ("shop.example", "http", "https://shop.example", "shop.example"),
        ("tcp://db:5432", "tcp", "db:5432", "db:5432"),
        ("tls://mail.example:993", "tls", "mail.example:993", "mail.example:993"),
        ("https://u:secret@shop.example/", "http", "https://shop.example/", "shop.example"),
    ],
)
def test_watch_a_url(url: str, kind: str, target: str, name: str) -> None:
    spec = spec_for_url(url)
    assert (spec.type, spec.target, spec.name, spec.source) == (kind, target, name, "ui")


def test_alert_false_means_no_rule() -> None:
    assert parse_check({"name": "x", "http": "http://x", "alert": False}).alert == CheckAlert(enabled=False)


def test_what_touches_this_machine_is_not_for_browsers() -> None:
    for name, cls in check_types().items():
        if cls.file_only:
            assert any("configuration file only" in text for _, text in errors({"name": "x", "type": name, "settings": {}}, "ui"))


def test_a_spec_becomes_its_check_again() -> None:
    spec = parse_check({"name": "x", "heartbeat": {"cron": "0 3 * * *", "zone": "Europe/Paris", "grace": "1h"}})
    check = check_of(spec)
    assert (check.target, spec.failures) == ("cron 0 3 * * * Europe/Paris", 1)
    assert check.grace == 3_600_000  # type: ignore[attr-defined]
