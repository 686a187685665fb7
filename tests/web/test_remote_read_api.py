"""Remote read: the same questions to a real Prometheus and to us; and a Prometheus that reads from us."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess

import cramjam
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.conftest import START_MS
from tests.web.prometheus_pair import ask, demo_batch, free_port, peer_binary, prometheus, push, served, wait_until_ready
from tests.web.remote_read_client import post, read_chunks, read_samples, request_body

from tocsin.formats.protobuf import BodyError
from tocsin.formats.remote_read import decode_request
from tocsin.model.labels import MatchOp

HOUR = (START_MS - 3_600_000, START_MS)
ALL = ("__name__", MatchOp.REGEX, ".+")
QUERIES = [
    (*HOUR, [ALL]),
    (*HOUR, [("__name__", MatchOp.EQUAL, "up"), ("instance", MatchOp.NOT_EQUAL, "a:1")]),
    (START_MS - 60_000, START_MS - 30_000, [("job", MatchOp.NOT_REGEX, "sh.*"), ALL]),
    (0, 1, [ALL]),
    (*HOUR, [("room", MatchOp.EQUAL, ""), ("code", MatchOp.REGEX, "5..")]),
]


async def test_chunks_and_samples_say_the_same(house):
    house.store.append(demo_batch(START_MS))
    client = await house.as_role("viewer")
    samples = await client.post("/api/v1/read", body=request_body(QUERIES))
    chunks = await client.post("/api/v1/read", body=request_body(QUERIES, [1, 0]))
    assert samples.headers["content-encoding"] == "snappy"
    assert chunks.headers["content-type"] == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
    found = read_samples(samples.body)
    assert found == read_chunks(chunks.body, len(QUERIES))
    assert [len(result) for result in found] == [14, 1, 2, 0, 2]
    assert len(found[0][1][1]) == 241


async def test_a_long_series_comes_in_several_frames(house):
    values = np.random.default_rng(1).normal(size=200_000)
    house.add({"__name__='noise'": values})
    client = await house.as_role("viewer")
    everything = (START_MS - 15_000 * 300_000, START_MS, [ALL])
    answer = await client.post("/api/v1/read", body=request_body([everything], [1]))
    ((series,),) = read_chunks(answer.body, 1)
    assert [np.frombuffer(value)[0] for _, value in series[1]] == values.tolist()
    assert len(answer.body) > 1 << 20


async def test_external_labels_are_taken_from_matchers_and_added_to_series(house):
    house.add({"__name__='up', job='a'": [1.0]})
    house.parts.settings = dataclasses.replace(house.parts.settings, external_labels={"site": "x"})
    client = await house.as_role("viewer")
    body = request_body([(*HOUR, [("site", MatchOp.EQUAL, "x"), ALL])])
    ((one,),) = read_samples((await client.post("/api/v1/read", body=body)).body)
    assert dict(one[0]) == {"__name__": "up", "job": "a", "site": "x"}


async def test_too_many_plain_samples_are_refused(house):
    house.add({"__name__='up', job='a'": [1.0] * 11})
    house.parts.settings = dataclasses.replace(house.parts.settings, read_samples=10)
    client = await house.as_role("viewer")
    answer = await client.post("/api/v1/read", body=request_body([(*HOUR, [ALL])]))
    assert (answer.status, answer.text) == (400, "exceeded sample limit (10)\n")
    assert (await client.post("/api/v1/read", body=request_body([(*HOUR, [ALL])], [1]))).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not snappy",
        bytes(cramjam.snappy.compress_raw(b"\x0a\xff\xff\xff\x0f")),
        request_body([(*HOUR, [("a", MatchOp.REGEX, "(")])]),
        request_body([], [7]),
        b"\xff\xff\xff\xff\x0f" + b"\x00" * 20,
    ],
    ids=["empty", "not snappy", "cut", "bad regex", "unknown type", "bomb"],
)
async def test_a_bad_request_is_a_400(house, body):
    client = await house.as_role("viewer")
    assert (await client.post("/api/v1/read", body=body)).status == 400
    assert (await client.get("/api/v1/read")).status == 405


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(data):
    for body in (data, bytes(cramjam.snappy.compress_raw(data))):
        with contextlib.suppress(BodyError):
            decode_request(body)


def inside(results):
    out = []
    for (start_ms, end_ms, _), result in zip(QUERIES, results, strict=True):
        kept = [(labels, [one for one in samples if start_ms <= one[0] <= end_ms]) for labels, samples in result]
        out.append([one for one in kept if one[1]])
    return out


@pytest.mark.peer
def test_a_real_prometheus_answers_the_same(house, tmp_path):
    house.store.append(demo_batch(START_MS))
    (tmp_path / "p").mkdir()
    with prometheus(tmp_path / "p") as theirs, served(house.client.app) as ours:
        push(theirs, demo_batch(START_MS))
        for accepted in ([], [0], [1], [1, 0], [9]):
            body = request_body(QUERIES, accepted)
            want, got = post(theirs, body), post(ours, body)
            assert got[0] == want[0]
            if want[0] != 200:
                continue
            assert got[1]["content-type"] == want[1]["content-type"]
            if 1 in accepted:  # Prometheus sends its chunks whole: what lies outside is the reader's to drop
                assert read_chunks(got[2], len(QUERIES)) == inside(read_chunks(want[2], len(QUERIES)))
            else:
                assert read_samples(got[2]) == [sorted(result) for result in read_samples(want[2])]
        for body in (b"x", request_body([(*HOUR, [ALL])])[:-3]):
            assert post(ours, body)[0] == post(theirs, body)[0]


@contextlib.contextmanager
def running(*command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", "/-/healthy")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.peer
def test_a_prometheus_that_reads_from_us_answers_as_we_do(house, tmp_path):
    house.store.append(demo_batch(START_MS))
    config, port = tmp_path / "prometheus.yml", free_port()
    flags = [f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with served(house.client.app) as ours:
        config.write_text(f"remote_read:\n- url: {ours}/api/v1/read\n  read_recent: true\n")
        with running(peer_binary("prometheus"), f"--config.file={config}", *flags, port=port) as theirs:
            for query in ("up", "sum by (code) (rate(http_requests_total[5m]))", "temperature", "count({__name__=~'.+'})"):
                window = [("start", str(HOUR[0] // 1000)), ("end", str(HOUR[1] // 1000)), ("step", "30")]
                want, got = (ask(base, "/api/v1/query_range", [("query", query), *window]).json() for base in (ours, theirs))
                assert want["data"]["result"]
                assert got["data"] == want["data"], query


@pytest.mark.peer
@pytest.mark.parametrize("stream", [[], ["--remote-read-use-stream"]], ids=["samples", "chunks"])
def test_vmctl_copies_everything_out_of_us(house, tmp_path, stream):
    batch = demo_batch(START_MS)
    house.store.append(batch)
    port = free_port()
    flags = [f"-storageDataPath={tmp_path / 'vm'}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    with (
        served(house.client.app) as ours,
        running(peer_binary("victoria-metrics"), *flags, port=port) as theirs,
    ):
        start, end = (f"2023-11-14T{hour}:13:{second}Z" for hour, second in (("21", "00"), ("22", "30")))
        subprocess.run(
            [peer_binary("vmctl"), "remote-read", "-s", "--disable-progress-bar", f"--remote-read-src-addr={ours}",
             f"--remote-read-filter-time-start={start}", f"--remote-read-filter-time-end={end}",
             "--remote-read-step-interval=hour", f"--vm-addr={theirs}", *stream],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        assert ask(theirs, "/internal/force_flush", []).status == 200
        found = ask(theirs, "/api/v1/export", [("match[]", '{__name__!=""}')]).body.splitlines()
        assert len(found) == len(set(batch.labels))
        kept = int((~np.isnan(batch.value)).sum())  # VictoriaMetrics keeps no NaN
        assert sum(len(orjson.loads(line)["values"]) for line in found) == kept
