"""JSON of Alertmanager's API and webhook."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import orjson
import pytest

from tocsin.formats.alertmanager_json import (
    BodyError,
    alert_json,
    alerts_from_command,
    alerts_from_webhook,
    alerts_to_command,
    parse_alerts,
    parse_silence,
    silence_from_command,
    silence_json,
    silence_to_command,
)
from tocsin.formats.matchers import parse_matchers
from tocsin.formats.routing_json import routing_from_json, routing_to_json
from tocsin.formats.times import format_rfc3339, parse_rfc3339_ms
from tocsin.model.alert import Alert, SuppressedBy, Suppression
from tocsin.model.labels import Labels
from tocsin.model.recurrence import Occurrences, parse_rrule
from tocsin.model.route import MaintenanceWindow

NOW_MS = 1_767_225_600_000


def parse(*entries: object) -> tuple[list[Alert], list[str]]:
    return parse_alerts(orjson.dumps(list(entries)), now_ms=NOW_MS, resolve_timeout_ms=300_000)


def test_times_left_out_are_now_and_the_resolve_timeout() -> None:
    (alert,), _ = parse({"labels": {"alertname": "A", "empty": ""}})
    assert (alert.starts_at_ms, alert.ends_at_ms, alert.timeout) == (NOW_MS, NOW_MS + 300_000, True)
    assert dict(alert.labels) == {"alertname": "A"}
    (alert,), _ = parse({"labels": {"alertname": "A"}, "endsAt": "2026-01-01T00:01:00Z"})
    assert (alert.starts_at_ms, alert.ends_at_ms, alert.timeout) == (NOW_MS + 60_000, NOW_MS + 60_000, False)


def test_the_invalid_do_not_lose_the_valid() -> None:
    alerts, problems = parse(
        {"labels": {"x": ""}},
        {"labels": {"alertname": "B"}},
        {"labels": {"alertname": "C"}, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"},
    )
    assert [alert.labels["alertname"] for alert in alerts] == ["B"]
    assert problems == ["at least one label pair required", "start time must be before end time"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, 400),
        (b"{}", 400, 400),
        (b"[1]", 400, 400),
        (b"[{}]", 422, 602),
        (b'[{"labels": {"a": 1}}]', 400, 400),
        (b'[{"labels": {"a": "b"}, "startsAt": "yesterday"}]', 400, 400),
    ],
)
def test_a_body_that_is_not_alerts_is_refused_whole(body: bytes, status: int, code: int) -> None:
    with pytest.raises(BodyError) as caught:
        parse_alerts(body, now_ms=NOW_MS, resolve_timeout_ms=1)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_only_web_addresses_become_links() -> None:
    (alert,), _ = parse({"labels": {"a": "b"}, "generatorURL": "javascript:alert(1)"})
    assert alert.generator_url == ""


def test_alerts_survive_the_way_to_the_core() -> None:
    alert = Alert(Labels({"a": "b"}), {"s": "t"}, 1, 2, timeout=True, generator_url="http://x", source="api:p", value=1.5)
    assert alerts_from_command(orjson.loads(orjson.dumps(alerts_to_command([alert])))) == [alert]


def test_why_an_alert_is_quiet_stands_where_clients_look() -> None:
    alert = Alert(Labels({"a": "b"}), {}, NOW_MS)
    causes = [
        SuppressedBy(Suppression.SILENCED, "id"),
        SuppressedBy(Suppression.INHIBITED, "fp"),
        SuppressedBy(Suppression.MAINTENANCE, "deploy"),
    ]
    shown = alert_json(alert, fingerprint="f", causes=causes, receivers=["r"], ends_at_ms=NOW_MS + 1, muted_by=["night"])
    assert shown["status"] == {
        "state": "suppressed",
        "silencedBy": ["id"],
        "inhibitedBy": ["fp"],
        "mutedBy": ["night", "deploy"],
    }
    assert shown["endsAt"] == "2026-01-01T00:00:00.001Z"


def test_a_webhook_of_another_alertmanager_is_a_source() -> None:
    body = {
        "version": "4",
        "alerts": [
            {"status": "firing", "labels": {"a": "1"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"},
            {"status": "resolved", "labels": {"a": "2"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T00:00:05Z"},
        ],
    }
    first, second = alerts_from_webhook(orjson.dumps(body), now_ms=NOW_MS + 10_000)
    assert (first.ends_at_ms, second.ends_at_ms) == (0, NOW_MS + 5000)
    with pytest.raises(BodyError):
        alerts_from_webhook(b"[]", now_ms=0)


def test_silences_survive_both_ways() -> None:
    posted = {
        "matchers": [{"name": "a", "value": "b.*", "isRegex": True, "isEqual": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2026-01-01T01:00:00+00:00",
        "createdBy": "ana",
        "comment": "why",
    }
    silence = parse_silence(orjson.dumps(posted))
    assert str(silence.matchers[0]) == 'a!~"b.*"'
    assert silence_from_command(orjson.loads(orjson.dumps(silence_to_command(silence))), now_ms=0) == silence
    shown = silence_json(silence, NOW_MS)
    assert (shown["status"]["state"], shown["matchers"]) == ("active", posted["matchers"])
    assert silence_from_command({"matchers": [], "duration_ms": 5}, now_ms=7).ends_at_ms == 12


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"matchers": []}, 612),
        ({"comment": None}, 602),
        ({"matchers": [{"name": "a", "value": "b"}]}, 602),
        ({"matchers": 3}, 400),
    ],
)
def test_a_silence_that_lacks_something_is_refused(change: dict[str, object], code: int) -> None:
    base = {"matchers": [{"name": "a", "value": "b", "isRegex": False}], "startsAt": "2026-01-01T00:00:00Z"}
    base |= {"endsAt": "2026-01-01T01:00:00Z", "createdBy": "ana", "comment": "why"}
    with pytest.raises(BodyError) as caught:
        parse_silence(orjson.dumps({**base, **change}))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-01T00:00:00Z", NOW_MS),
        ("2026-01-01T01:00:00.250+01:00", NOW_MS + 250),
        ("2025-12-31T19:30:00-04:30", NOW_MS),
        ("2026-01-01T00:00:00.123456789Z", NOW_MS + 123),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert parse_rfc3339_ms(text) == ms
    assert parse_rfc3339_ms(format_rfc3339(ms)) == ms


def test_a_routing_survives_the_way_to_the_web_process() -> None:
    from tests.config.test_alertmanager_config import EVERYTHING, routing_of_text

    windows = (
        MaintenanceWindow("once", parse_matchers("a=b"), Occurrences(None, datetime(2026, 1, 1), 1000)),
        MaintenanceWindow(
            "often",
            parse_matchers("a=b"),
            Occurrences(
                parse_rrule("FREQ=MONTHLY;BYDAY=2TU,-1FR;BYMONTH=1;UNTIL=20270101"), datetime(2026, 1, 1), 1000, "Asia/Tokyo"
            ),
        ),
    )
    routing = replace(routing_of_text(EVERYTHING), maintenance=windows, depends_on={"shop": ("files",)})
    back = routing_from_json(orjson.loads(orjson.dumps(routing_to_json(routing))))
    assert back.root == routing.root
    assert (back.inhibit_rules, back.time_intervals) == (routing.inhibit_rules, routing.time_intervals)
    assert (back.maintenance, back.depends_on) == (routing.maintenance, routing.depends_on)
    assert not any(receiver.destinations for receiver in back.receivers.values()), "secrets stay in the core"
