"""What the command line does with a store: look, verify, bring data in, take data out, copy.

Functions that read (`stats`, `verify`, `export_lines`) work beside a running core; those that write need the store to
themselves, or the store object of the core.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tocsin.errors import StoreError
from tocsin.formats.exposition import escape_value, format_value, parse_comment, parse_sample
from tocsin.model.labels import METRIC_NAME, Labels, Matcher, MatchOp
from tocsin.model.ports import SampleReader
from tocsin.model.series import Batch, is_absent, is_stale
from tocsin.tsdb import sections
from tocsin.tsdb.block import GRID, LOOSE, BlockSet, Group
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.db import Store
from tocsin.tsdb.disk import SYSTEM_DISK, numbered
from tocsin.tsdb.load import WAL_SUFFIX
from tocsin.tsdb.rollups import Rollups
from tocsin.tsdb.wal import Gap, Reader

_BATCH = 20_000
_EQUAL = MatchOp.EQUAL
_PARTS = ("wal", "held", "head", "tables", "blocks", "rollups")


def stats(path: Path) -> dict[str, Any]:
    """Facts about a store from its files: bytes by part, blocks with span, series, samples and bytes per sample."""
    blocks = BlockSet(path / "blocks")
    blocks.refresh()
    listed = []
    for block in blocks.blocks:
        samples, size = block.facts.get("samples", 0), block.size()
        facts = {"name": str(block.name), "start_ms": block.name.start_ms, "end_ms": block.name.end_ms, "bytes": size}
        facts |= {"series": block.facts.get("series", 0), "samples": samples}
        listed.append(facts | {"bytes_per_sample": round(size / samples, 3) if samples else 0.0})
        block.release()
    blocks.close()
    return {"bytes": {part: _bytes_of(path / part) for part in _PARTS}, "blocks": listed}


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something unreadable: which part, which file, what."""

    part: str
    file: str
    message: str


def verify(path: Path) -> list[Problem]:
    """Read every checksum of a store; empty = all is well."""
    problems: list[Problem] = []
    for number, segment in numbered(path / "wal", WAL_SUFFIX):
        newest = number == numbered(path / "wal", WAL_SUFFIX)[-1][0]
        reader = Reader(segment)
        gaps = [item for item in reader.read(final=not newest) if isinstance(item, Gap)]
        reader.close()
        problems += [Problem("wal", segment.name, f"{gap.problem} at byte {gap.start}") for gap in gaps]
    problems += _verify_chunks(path)
    rollups = Rollups(path / "rollups")
    for blocks in (BlockSet(path / "blocks"), *rollups.sets.values()):
        blocks.refresh()
        for block in blocks.blocks:
            problems += _verify_block(block)
        blocks.close()
    return problems


def _verify_chunks(path: Path) -> Iterator[Problem]:
    files = ChunkFiles(path / "head", SYSTEM_DISK)
    for number, file in files.files():
        end = 0
        for chunk in files.scan(number):
            if chunk.entry != end:
                yield Problem("head", file.name, f"unreadable bytes {end} to {chunk.entry}")
            end = chunk.position + chunk.length
            if not files.intact(chunk):
                yield Problem("head", file.name, f"checksum of the chunk at byte {chunk.entry}")
        if end != file.stat().st_size:
            yield Problem("head", file.name, f"unreadable bytes from {end} to the end")
    files.close()


def _verify_block(block: Any) -> Iterator[Problem]:
    data = (block.path / "index").read_bytes()
    whole = 0
    for _, payload in sections.outer(data, part="block", where=block.path.name):
        whole += len(payload) + sections.HEADER
    for kind, payload in sections.unpack(data, part="block", where=block.path.name):
        if kind in (GRID, LOOSE):
            Group.unpack(kind, payload)
    if whole != len(data):
        yield Problem("block", f"{block.path.name}/index", f"{len(data) - whole} bytes are unreadable")
    for group in block.groups:
        for entry in group.chunks:
            if block.payload(entry) is None:
                yield Problem("block", f"{block.path.name}/chunks", f"checksum of the chunk at byte {entry['position']}")
    block.release()


@dataclass(slots=True)
class Backfilled:
    """What `backfill` did; `errors` are the first bad lines."""

    samples: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def backfill(store: Store, lines: Iterable[bytes]) -> Backfilled:
    """Bring OpenMetrics lines with timestamps into a store; any age is taken. Raises DiskFull."""
    done = Backfilled()
    labels: list[Labels] = []
    t_ms: list[int] = []
    values: list[float] = []

    def send() -> None:
        store.must_write()
        result = store.append(Batch(labels[:], np.array(t_ms, np.int64), np.array(values)))
        done.samples += result.accepted
        for reason, count in result.refused.items():
            done.refused[reason] = done.refused.get(reason, 0) + count
        labels.clear()
        t_ms.clear()
        values.clear()

    for number, line in enumerate(lines, 1):
        try:
            line = line.rstrip(b"\r\n")
            if not line or line.startswith(b"#"):
                parse_comment(line)
                continue
            sample = parse_sample(line, "openmetrics")
            if sample.t_ms is None:
                raise ValueError("a sample without a timestamp cannot be backfilled")
        except ValueError as error:
            if len(done.errors) < 20:
                done.errors.append(f"line {number}: {error}")
            continue
        labels.append(sample.labels)
        t_ms.append(sample.t_ms)
        values.append(sample.value)
        if len(labels) >= _BATCH:
            send()
    if labels:
        send()
    return done


def export_lines(reader: SampleReader, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterator[str]:
    """Samples as OpenMetrics lines, metric by metric, ended by `# EOF`; `backfill` reads them again."""
    for metric in reader.label_values(METRIC_NAME, [matchers], start_ms, end_ms):
        own = [*matchers, Matcher(METRIC_NAME, _EQUAL, metric)]
        for group in reader.select(own, start_ms, end_ms).groups:
            there = ~(is_absent(group.values) | is_stale(group.values))
            for labels, row, present in zip(group.labels, group.values, there, strict=True):
                name = series_text(labels)
                for place in np.flatnonzero(present).tolist():
                    yield f"{name} {format_value(float(row[place]))} {_seconds(int(group.t_ms[place]))}\n"
    yield "# EOF\n"


def series_text(labels: Labels) -> str:
    """A series as exposition formats write it."""
    rest = ",".join(f'{name}="{escape_value(value)}"' for name, value in labels.pairs if name != METRIC_NAME)
    metric = labels.get(METRIC_NAME)
    return f"{metric}{{{rest}}}" if rest else str(metric)


def _seconds(t_ms: int) -> str:
    sign, t_ms = ("-", -t_ms) if t_ms < 0 else ("", t_ms)
    return f"{sign}{t_ms // 1000}.{t_ms % 1000:03d}"


def restore(snapshot: Path, path: Path) -> None:
    """Put a snapshot in place of a store that does not exist yet. Raises StoreError."""
    if not (snapshot / "wal").is_dir() and not (snapshot / "blocks").is_dir():
        raise StoreError(f"{snapshot} is not a snapshot of a store: it has no folder `wal` or `blocks`")
    if path.exists() and any(path.iterdir()):
        raise StoreError(f"{path} is not empty; move the old store away first")
    shutil.copytree(snapshot, path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock"))
