"""The log: frames, pages, growth under a reader's eyes, and every way in which bytes can be wrong."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.tsdb.disk import SYSTEM_DISK, Disk
from tocsin.tsdb.wal import PAGE, Gap, Paginator, Reader, Record, Writer


def _write(path: Path, records: list[tuple[int, bytes]]) -> bytes:
    path.write_bytes(Paginator().lay(records))
    return path.read_bytes()


def _read(path: Path) -> tuple[list[tuple[int, bytes]], list[Gap]]:
    reader = Reader(path)
    items = list(reader.read(final=True))
    reader.close()
    return [(one.kind, one.payload) for one in items if isinstance(one, Record)], [one for one in items if isinstance(one, Gap)]


@given(sizes=st.lists(st.integers(0, 3 * PAGE), max_size=12))
@settings(max_examples=40, deadline=None)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    path = tmp_path_factory.mktemp("wal") / "1.wal"
    records = [(1 + number % 5, random.Random(number).randbytes(size)) for number, size in enumerate(sizes)]
    _write(path, records)
    assert _read(path) == (records, [])


@pytest.mark.parametrize("last", range(PAGE - 60, PAGE + 30))
def test_records_may_end_anywhere_near_a_page_end(tmp_path: Path, last: int) -> None:
    records = [(1, b"a" * last), (2, b"b" * 10), (3, b"")]
    _write(tmp_path / "1.wal", records)
    assert _read(tmp_path / "1.wal") == (records, [])


def test_a_flipped_byte_anywhere_costs_at_most_the_record_it_hits(tmp_path: Path) -> None:
    records = [(kind, bytes([kind]) * (7 * kind)) for kind in range(1, 9)]
    path = tmp_path / "1.wal"
    good = _write(path, records)
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        found, gaps = _read(path)
        lost = [record for record in records if record not in found]
        assert len(lost) <= 1, f"byte {place} cost {len(lost)} records"
        assert len(gaps) == len(lost), f"byte {place}: a lost record is reported once"
        assert [record for record in records if record in found] == found


def test_zeroed_sectors_cost_the_records_they_touch_and_the_rest_of_the_page(tmp_path: Path) -> None:
    records = [(1 + number % 9, random.Random(number).randbytes(900)) for number in range(200)]
    path = tmp_path / "1.wal"
    good = _write(path, records)
    for start in range(0, len(good), 4096):
        path.write_bytes(good[:start] + b"\0" * min(4096, len(good) - start) + good[start + 4096 :])
        found, gaps = _read(path)
        assert len(records) - len(found) <= PAGE // 900 + 2
        assert gaps
        assert [record for record in records if record in found] == found, "what is left is unchanged and in order"


def test_a_torn_tail_is_stepped_over_at_every_length(tmp_path: Path) -> None:
    records = [(1, b"x" * 20), (2, b"y" * 30)]
    path = tmp_path / "1.wal"
    good = _write(path, records)
    first_ends = len(Paginator().lay(records[:1]))
    for size in range(len(good)):
        path.write_bytes(good[:size])
        found, _ = _read(path)
        assert found == (records[:1] if size >= first_ends else []), f"cut at {size}"


def test_an_embedded_frame_is_not_taken_for_a_record_after_damage(tmp_path: Path) -> None:
    """Label values come from outside; bytes that look like frames must not become records when a header is lost."""
    forged = Paginator().lay([(7, b"forged")])[8:]
    path = tmp_path / "1.wal"
    good = _write(path, [(1, b"before"), (2, forged), (3, b"after")])
    at = good.index(forged) - 20
    path.write_bytes(good[:at] + b"\0" * 20 + good[at + 20 :])
    assert (7, b"forged") not in _read(path)[0]


def test_a_reader_waits_for_the_rest_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "1.wal"
    data = Paginator().lay([(1, b"x" * 50_000), (2, b"y")])
    path.write_bytes(b"")
    reader = Reader(path)
    found: list[Record | Gap] = []
    for size in range(0, len(data) + 777, 777):
        path.write_bytes(data[:size])
        found += reader.read(final=False)
    reader.close()
    assert [(one.kind, len(one.payload)) for one in found if isinstance(one, Record)] == [(1, 50_000), (2, 1)]


class _Full(Disk):
    """Takes `room` bytes, the last write only in part."""

    room = 100

    def write(self, fd: int, data: bytes) -> None:
        if len(data) > self.room:
            super().write(fd, data[: self.room])
            raise OSError(28, "No space left on device")
        super().write(fd, data)


def test_a_failed_flush_leaves_whole_records_and_keeps_what_waits(tmp_path: Path) -> None:
    disk = _Full()
    writer = Writer(tmp_path / "1.wal", disk)
    writer.add(1, b"a" * 20)
    writer.flush()
    writer.add(2, b"b" * 300)
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    assert _read(tmp_path / "1.wal") == ([(1, b"a" * 20)], [])
    disk.room = 1000
    writer.add(3, b"c")
    writer.flush()
    assert _read(tmp_path / "1.wal") == ([(1, b"a" * 20), (2, b"b" * 300), (3, b"c")], [])
    writer.close()
    assert SYSTEM_DISK.free_bytes(tmp_path) > 0


@given(data=st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_survived(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("wal") / "1.wal"
    path.write_bytes(data)
    _read(path)
