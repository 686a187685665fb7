"""Bring a head up from disk: tables, head chunk files, WAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tocsin.tsdb import damage, exemplars
from tocsin.tsdb.checkpoint import read_newest
from tocsin.tsdb.chunkfile import ChunkFiles, GridChunk
from tocsin.tsdb.disk import numbered
from tocsin.tsdb.head import Head
from tocsin.tsdb.replay import Replay
from tocsin.tsdb.wal import Gap, Reader

WAL_SUFFIX = ".wal"


def recover(head: Head, files: ChunkFiles, path: Path) -> tuple[int, int]:
    """Everything that is on disk, for the writer; answers the samples that the log gave and the series (the next id) that the
    tables knew."""
    replay = Replay(head, files, verify=True, blocks_changed=lambda: None)
    tabled = 0
    for reader in load(head, files, replay, path):
        tabled = tabled or head.index.next_id
        drain(reader, replay, final=True)
        reader.close()
    head.find_strays()
    head.index.settle()
    return replay.samples, tabled


def load(head: Head, files: ChunkFiles, replay: Replay, path: Path) -> Iterator[Reader]:
    """Load everything up to the last WAL segment; yields each segment's reader, for the caller to `drain` and close.

    The order is tables, chunks, log: a record about something newer than it can only find more, never less.
    """
    checkpoint = read_newest(path / "tables", head)
    for number, _ in files.files():
        for chunk in files.scan(number):
            if isinstance(chunk, GridChunk):
                if chunk.end_ms >= head.cut_ms:
                    head.add_chunk(chunk)
            else:
                head.loose_chunks.append(chunk)
    for capacity, listed in exemplars.read_file(path):
        head.take_exemplars(capacity, listed)
    for number, segment in numbered(path / "wal", WAL_SUFFIX):
        head.segment = number
        reader = Reader(segment)
        reader.definitions = number >= checkpoint
        yield reader


def drain(reader: Reader, replay: Replay, *, final: bool) -> int:
    """Apply what a segment has to offer now; answers the number of records."""
    count = 0
    for item in reader.read(final=final):
        if isinstance(item, Gap):
            damage.report("wal", reader.path.name, item.problem, start=item.start, end=item.end)
        else:
            replay.apply(item, where=reader.path.name, definitions=reader.definitions)
            count += 1
    return count
