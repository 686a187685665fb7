"""OTLP metrics, with bodies encoded by hand from the protocol's field numbers."""

from __future__ import annotations

import contextlib
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.formats.otlp import decode, partial_success
from tocsin.formats.otlp_names import label_name, metric_name, unit_name
from tocsin.formats.protobuf import BodyError
from tocsin.model.series import is_stale

T_MS = 1_700_000_000_123


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def msg(number: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return msg(number, value.encode())


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)


def fixed(number: int, value: int) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def attribute(number: int, key: str, value: bytes | str) -> bytes:
    return msg(number, text(1, key), msg(2, value if isinstance(value, bytes) else text(1, value)))


TIME = fixed(3, T_MS * 1_000_000 + 456)
RESOURCE = msg(
    1,
    attribute(1, "service.name", "shop"),
    attribute(1, "service.namespace", "web"),
    attribute(1, "service.instance.id", "shop-1"),
    attribute(1, "host.name", "h1"),
)


def body(*metrics: bytes, resource: bytes = RESOURCE) -> bytes:
    return msg(1, resource, msg(2, msg(1, text(1, "scope")), *(msg(2, metric) for metric in metrics)))


def gauge(name: str, *points: bytes, unit: str = "") -> bytes:
    return text(1, name) + text(2, "What it is.") + text(3, unit) + msg(5, *(msg(1, point) for point in points))


def total(name: str, *points: bytes, unit: str = "", temporality: int = 2, monotonic: int = 1) -> bytes:
    return text(1, name) + text(3, unit) + msg(7, *(msg(1, p) for p in points), integer(2, temporality), integer(3, monotonic))


def series(data: bytes) -> dict[str, float]:
    batch = decode(data).batch
    return {str(labels): value for labels, value in zip(batch.labels, batch.value.tolist(), strict=True)}


def test_a_gauge_has_job_instance_and_its_target_info() -> None:
    request = decode(body(gauge("queue.depth", TIME + attribute(7, "queue.name", "mail") + double(4, 2.5), unit="{messages}")))
    assert [str(labels) for labels in request.batch.labels] == [
        'queue_depth{instance="shop-1", job="web/shop", queue_name="mail"}',
        'target_info{host_name="h1", instance="shop-1", job="web/shop"}',
    ]
    assert request.batch.t_ms.tolist() == [T_MS, T_MS]
    assert request.batch.value.tolist() == [2.5, 1.0]
    assert request.metadata[0] == ("queue_depth", "gauge", "What it is.", "")
    assert request.rejected == 0


def test_integers_are_signed_and_monotonic_sums_are_counters() -> None:
    minus = TIME + fixed(6, -3 & 0xFFFFFFFFFFFFFFFF)
    found = series(body(total("requests", TIME + fixed(6, 7), unit="1"), total("balance", minus, monotonic=0)))
    assert found['requests_total{instance="shop-1", job="web/shop"}'] == 7.0
    assert found['balance{instance="shop-1", job="web/shop"}'] == -3.0


def test_a_delta_sum_is_refused_with_a_clear_text_and_the_rest_is_taken() -> None:
    request = decode(body(total("requests", TIME + fixed(6, 7), temporality=1), gauge("depth", TIME + double(4, 1.0))))
    assert request.rejected == 1
    assert request.reasons == ("metric 'requests': delta temporality is not stored; set the exporter to cumulative",)
    assert [labels["__name__"] for labels in request.batch.labels] == ["depth", "target_info"]


def packed(number: int, code: str, *values: float) -> bytes:
    return msg(number, struct.pack(f"<{len(values)}{code}", *values))


def histogram(point: bytes) -> bytes:
    return text(1, "http.server.request.duration") + text(3, "s") + msg(9, msg(1, point), integer(2, 2))


def test_explicit_buckets_become_a_classic_histogram() -> None:
    point = TIME + fixed(4, 10) + double(5, 4.5) + packed(6, "Q", 1, 4, 5) + packed(7, "d", 0.005, 5.0)
    resource = msg(1, attribute(1, "service.name", "shop"))
    assert series(body(histogram(point), resource=resource)) == {
        'http_server_request_duration_seconds_bucket{job="shop", le="0.005"}': 1.0,
        'http_server_request_duration_seconds_bucket{job="shop", le="5"}': 5.0,
        'http_server_request_duration_seconds_bucket{job="shop", le="+Inf"}': 10.0,
        'http_server_request_duration_seconds_count{job="shop"}': 10.0,
        'http_server_request_duration_seconds_sum{job="shop"}': 4.5,
    }


def test_buckets_that_do_not_fit_are_refused() -> None:
    request = decode(body(histogram(TIME + fixed(4, 10) + packed(6, "Q", 1, 4) + packed(7, "d", 0.005, 5.0))))
    assert request.rejected == 1
    assert "2 bucket counts do not fit 2 bounds" in request.reasons[0]


def test_a_summary_keeps_its_quantiles_and_an_exponential_histogram_is_refused() -> None:
    quantile = msg(6, double(1, 0.99), double(2, 0.3))
    summary = text(1, "wait") + msg(11, msg(1, TIME + fixed(4, 3) + double(5, 0.6) + quantile))
    exponential = text(1, "e") + msg(10, msg(1, TIME), msg(1, TIME), integer(2, 2))
    request = decode(body(summary, exponential, resource=b""))
    assert [str(labels) for labels in request.batch.labels] == ['wait{quantile="0.99"}', "wait_count", "wait_sum"]
    assert request.rejected == 2


def test_a_point_without_recorded_value_ends_its_series() -> None:
    batch = decode(body(gauge("depth", TIME + integer(8, 1)), resource=b"")).batch
    assert is_stale(batch.value).tolist() == [True]


def test_attribute_values_of_every_kind_are_text() -> None:
    inner = text(1, "a"), integer(3, -1), integer(2, 1), double(4, 0.5)
    point = TIME + double(4, 1.0) + b"".join(attribute(7, f"k{i}", value) for i, value in enumerate(inner))
    point += attribute(7, "list", msg(5, msg(1, integer(3, 1)), msg(1, text(1, "x"))))
    point += attribute(7, "map", msg(6, attribute(1, "y", "z"))) + attribute(7, "a.b", "1") + attribute(7, "a_b", "2")
    (labels,) = decode(body(gauge("m", point), resource=b"")).batch.labels
    assert {name: value for name, value in labels.items() if name != "__name__"} == {
        "k0": "a", "k1": "-1", "k2": "true", "k3": "0.5", "list": '[1,"x"]', "map": '{"y":"z"}', "a_b": "1;2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "", "http_server_request_duration_seconds"),
        ("disk.usage", "1", "gauge", "disk_usage_ratio"),
        ("system.io", "By", "counter", "system_io_bytes_total"),
        ("requests_total", "{request}", "counter", "requests_total"),
        ("total.requests", "", "counter", "requests_total"),
        ("network.speed", "By/s", "gauge", "network_speed_bytes_per_second"),
        ("calls", "{call}/s", "gauge", "calls_per_second"),
        ("wait.seconds", "s", "gauge", "wait_seconds"),
        ("9lives", "", "gauge", "_9lives"),
        ("odd   name--x", "", "gauge", "odd_name_x"),
        ("cpu", "%", "gauge", "cpu_percent"),
        ("weird", "foo.bar", "gauge", "weird_foo_bar"),
        ("...", "", "gauge", ""),
    ],
)
def test_names_are_translated_as_prometheus_does(name: str, unit: str, kind: str, expected: str) -> None:
    assert metric_name(name, unit, counter=kind == "counter", gauge=kind == "gauge") == expected


def test_labels_and_units() -> None:
    assert [label_name(key) for key in ("a.b", "1a", "_x", "__y", "é")] == ["a_b", "key_1a", "key_x", "__y", "key_"]
    assert [unit_name(unit) for unit in ("By/s", "s", "1", "{x}/s")] == ["bytes_per_second", "seconds", "", "per_second"]


def test_a_nested_bomb_is_refused() -> None:
    value = text(1, "x")
    for _ in range(50):
        value = msg(5, msg(1, value))
    with pytest.raises(BodyError, match="nested too deeply"):
        decode(body(gauge("m", TIME + double(4, 1.0) + attribute(7, "k", value))))


def test_the_answer_is_a_partial_success() -> None:
    assert partial_success(0, "") == b""
    assert partial_success(300, "no") == msg(1, integer(1, 300), text(2, "no"))


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(max_examples=150)
def test_any_bytes_are_read_or_refused(noise: bytes, place: int) -> None:
    good = body(gauge("m", TIME + attribute(7, "k", "v") + double(4, math.pi)))
    for data in (noise, good[:place] + noise[:3] + good[place:], good[: min(place, len(good))]):
        with contextlib.suppress(BodyError):
            decode(data)


def test_exemplars_of_counters_and_buckets_carry_their_trace() -> None:
    exemplar = msg(
        5, fixed(2, T_MS * 1_000_000), double(3, 2.5), msg(5, b"\x0a\xbc"), msg(4, b"\x01"), attribute(7, "http.route", "/")
    )
    counter = msg(2, text(1, "hits"), msg(7, msg(1, TIME, double(4, 3.0), exemplar), integer(2, 2), integer(3, 1)))
    found = decode(msg(1, RESOURCE, msg(2, counter)))
    ((series, one),) = found.exemplars
    assert series["__name__"] == "hits_total"
    assert dict(one.labels) == {"trace_id": "0abc", "span_id": "01", "http_route": "/"}
    assert (one.value, one.t_ms) == (2.5, T_MS)
