"""Blocks of Prometheus: what promtool and a real Prometheus wrote is read; damage costs what it hits; Parquet comes out."""

from __future__ import annotations

import shutil
import subprocess
import urllib.parse

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.promql_peer import peer_binary, prometheus
from tests.tsdb.conftest import START_MS

from tocsin.errors import StoreError
from tocsin.formats.prometheus_block import BlockError, PrometheusBlock
from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.series import Batch
from tocsin.tsdb.parquet import write_parquet
from tocsin.tsdb.prometheus_import import import_blocks
from tocsin.tsdb.settings import StoreSettings

ANY = Matcher("__name__", MatchOp.NOT_EQUAL, "")
FAR_MS = 1 << 50
SETTINGS = StoreSettings(retention_ms=FAR_MS, retention_rollup_ms=FAR_MS, min_free_bytes=0)


def lines(count=300):
    out, expected = ["# TYPE m gauge"], {}
    rng = np.random.default_rng(5)
    for n in range(7):
        labels = Labels({"__name__": "m", "n": str(n), "text": 'ü "\\'})
        samples = expected[labels] = []
        for step in range(count):
            t_ms = START_MS - 60_000_000 + step * 137_003 + n
            value = [float(step), float(rng.normal()), 1e300, float("inf"), -0.0, 0.5, 7.0][n]
            samples.append((t_ms, np.float64(value).view(np.uint64).item()))
            out.append(f'm{{n="{n}",text="ü \\"\\\\"}} {value!r} {t_ms / 1000:.3f}')
    return "\n".join([*out, "# EOF", ""]).replace(" inf ", " +Inf "), expected


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("promtool")
    text, expected = lines()
    (folder / "in.txt").write_text(text)
    command = [peer_binary("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(folder / "in.txt"), str(folder / "out")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "out", expected


@pytest.mark.peer
def test_blocks_of_promtool_are_read_sample_by_sample(blocks, make_store, ask):
    folder, expected = blocks
    store = make_store(SETTINGS)
    done = import_blocks(store, folder)
    assert (done.blocks > 3, done.problems, done.damaged, done.refused) == (True, [], 0, {})
    assert done.series == set(expected)
    assert done.samples == sum(map(len, expected.values()))
    assert ask(store, 0, FAR_MS, ANY) == expected
    assert import_blocks(store, folder).samples == done.samples  # once more changes nothing
    assert ask(store, 0, FAR_MS, ANY) == expected


@pytest.mark.peer
def test_the_snapshot_of_a_real_prometheus_is_read_without_what_was_deleted(make_store, tmp_path, ask):
    now = START_MS - 10_000_000
    series = [
        (Labels({"__name__": "up", "n": str(n)}), [(now + 15_000 * step, float(step % (n + 2))) for step in range(500)])
        for n in range(4)
    ]
    with prometheus(tmp_path / "p", "--web.enable-admin-api", "--storage.tsdb.retention.time=20y") as peer:
        peer.write(series)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        delete = urllib.parse.urlencode({"match[]": 'up{n="1"}', "start": now / 1000 + 100, "end": now / 1000 + 1000})
        assert peer.raw("POST", "/api/v1/admin/tsdb/delete_series", delete.encode(), form)[0] == 204
        name = peer.get("/api/v1/admin/tsdb/snapshot")["data"]["name"]
    expected = {
        labels: [
            (t, np.float64(v).view(np.uint64).item())
            for t, v in samples
            if labels["n"] != "1" or not now + 100_000 <= t <= now + 1_000_000
        ]
        for labels, samples in series
    }
    store = make_store(SETTINGS)
    done = import_blocks(store, tmp_path / "p" / "data" / "snapshots" / name)
    assert done.problems == []
    assert ask(store, 0, FAR_MS, ANY) == expected


@pytest.mark.peer
def test_tombstones_of_a_block_hide_samples(blocks, make_store, ask, tmp_path):
    folder, _ = blocks
    copy = tmp_path / "copy"
    shutil.copytree(sorted(folder.iterdir())[0], copy)
    from tocsin.formats.crc32c import crc32c
    from tocsin.formats.protobuf_write import to_varint

    ref = next(PrometheusBlock(copy)._index.places())[0]
    entry = to_varint(ref) + to_varint(0) + to_varint(2 * FAR_MS)
    (copy / "tombstones").write_bytes(b"\x01\x30\xba\x30\x01" + entry + crc32c(entry).to_bytes(4, "big"))
    done = import_blocks(make_store(SETTINGS), copy)
    assert done.deleted > 0
    assert len(done.series) == 7
    (copy / "tombstones").write_bytes(b"\x01\x30\xba\x30\x01" + entry + bytes(4))
    with pytest.raises(BlockError, match="checksum"):
        PrometheusBlock(copy)


@pytest.mark.peer
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.sampled_from(["index", "chunks/000001", "meta.json"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
    st.booleans(),
)
def test_a_damaged_block_is_read_as_far_as_it_goes_or_refused(blocks, tmp_path_factory, file, place, byte, cut):
    source = sorted(blocks[0].iterdir())[0]
    copy = tmp_path_factory.mktemp("damaged") / "b"
    shutil.copytree(source, copy)
    data = bytearray((copy / file).read_bytes())
    at = int(place * len(data))
    data[at] = byte
    (copy / file).write_bytes(data[:at] if cut else data)
    try:
        block = PrometheusBlock(copy)
        found = list(block.series())
    except BlockError:
        return
    assert len(found) <= 7


def test_a_folder_without_blocks_is_said_so(make_store, tmp_path):
    (tmp_path / "empty").mkdir()
    store = make_store(SETTINGS)
    with pytest.raises(StoreError, match="no blocks of Prometheus"):
        import_blocks(store, tmp_path / "empty")
    bad = tmp_path / "bad" / "b"
    bad.mkdir(parents=True)
    (bad / "meta.json").write_text('{"version": 1}')
    (bad / "index").write_bytes(b"x" * 100)
    assert "not an index" in import_blocks(store, tmp_path / "bad").problems[0]


def test_parquet_holds_every_sample(make_store, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    store = make_store(SETTINGS)
    plain, named = Labels({"__name__": "a"}), Labels({"__name__": "b", "x": "1", "y": "'ü"})
    store.append(Batch([plain, named, named], START_MS + np.array([0, 5, 1]), np.array([1.5, float("nan"), 3.0])))
    path = tmp_path / "it's.parquet"
    assert write_parquet(store, [ANY], 0, FAR_MS, path) == 3
    query = f"SELECT metric, labels, epoch_ms(t), value FROM '{str(path).replace(chr(39), chr(39) * 2)}'"
    rows = duckdb.sql(query).fetchall()
    assert rows[0] == ("a", {}, START_MS, 1.5)
    assert rows[1] == ("b", {"x": "1", "y": "'ü"}, START_MS + 1, 3.0)
    assert repr(rows[2]) == repr(("b", {"x": "1", "y": "'ü"}, START_MS + 5, float("nan")))
