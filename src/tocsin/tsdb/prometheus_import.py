"""Bring the blocks of a Prometheus data directory into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tocsin.errors import StoreError
from tocsin.formats import xor_chunk
from tocsin.formats.prometheus_block import BlockError, PrometheusBlock, Series
from tocsin.model.labels import Labels
from tocsin.model.series import Batch, Float64, Int64
from tocsin.tsdb.db import Store

_SERIES_AT_ONCE = 2000
_SAMPLES_AT_ONCE = 200_000
_MAINTAIN_EVERY = 2_000_000


@dataclass(slots=True)
class Imported:
    """What was brought in and what was left out."""

    blocks: int = 0
    series: set[Labels] = field(default_factory=set)
    samples: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    deleted: int = 0
    """Samples that a tombstone hides."""
    histogram_chunks: int = 0
    damaged: int = 0
    problems: list[str] = field(default_factory=list)


def blocks_of(folder: Path) -> list[Path]:
    """The block folders under a data directory, or the block itself. Raises StoreError when there is none."""
    if (folder / "meta.json").is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/meta.json")) if folder.is_dir() else []
    if not found:
        raise StoreError(f"{folder} holds no blocks of Prometheus (folders with a meta.json); its head and WAL are not read")
    return found


def import_blocks(store: Store, folder: Path, progress: Callable[[str], None] = lambda _text: None) -> Imported:
    """Every block of a data directory. Raises StoreError, DiskFull."""
    done = Imported()
    waiting = 0
    for path in blocks_of(folder):
        try:
            block = PrometheusBlock(path)
        except BlockError as error:
            done.problems.append(str(error))
            continue
        before = done.samples
        for labels, t_ms, values in _samples(block, done):
            store.must_write()
            result = store.append(Batch(labels, t_ms, values))
            done.samples += result.accepted
            for reason, count in result.refused.items():
                done.refused[reason] = done.refused.get(reason, 0) + count
            waiting += len(t_ms)
            if waiting >= _MAINTAIN_EVERY:
                waiting = 0
                store.maintain()
        done.blocks += 1
        done.histogram_chunks += block.left.histogram_chunks
        done.damaged += block.left.damaged_chunks + block.left.damaged_series
        done.problems += [f"{path.name}: {reason} ({count})" for reason, count in block.left.reasons.most_common(5)]
        progress(f"{path.name}: {done.samples - before} samples")
    return done


def _samples(block: PrometheusBlock, done: Imported) -> Iterator[tuple[list[Labels], Int64, Float64]]:
    """Batches of samples with the labels of each."""
    waiting: list[Series] = []
    for one in block.series():
        waiting.append(one)
        if len(waiting) >= _SERIES_AT_ONCE:
            yield from _decoded(waiting, done)
            waiting = []
    yield from _decoded(waiting, done)


def _decoded(series: list[Series], done: Imported) -> Iterator[tuple[list[Labels], Int64, Float64]]:
    chunks = iter(xor_chunk.decode([chunk for one in series for chunk in one.chunks]))
    labels: list[Labels] = []
    times: list[Int64] = []
    values: list[Float64] = []
    for one in series:
        done.series.add(one.labels)
        for _ in one.chunks:
            found = next(chunks)
            if found is None:
                done.damaged += 1
                continue
            t_ms, column = found
            for low, high in one.deleted:
                gone = (t_ms >= low) & (t_ms <= high)
                done.deleted += int(gone.sum())
                t_ms, column = t_ms[~gone], column[~gone]
            labels += [one.labels] * len(t_ms)
            times.append(t_ms)
            values.append(column)
        if len(labels) >= _SAMPLES_AT_ONCE:
            yield labels, np.concatenate(times), np.concatenate(values)
            labels, times, values = [], [], []
    if labels:
        yield labels, np.concatenate(times), np.concatenate(values)
