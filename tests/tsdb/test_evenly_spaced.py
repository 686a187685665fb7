"""Loose samples that are evenly spaced are read as matrices, and say exactly what they said before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tocsin.model.labels import Labels, Matcher, MatchOp
from tocsin.model.series import STALE_NAN, Batch, Selection, is_absent
from tocsin.tsdb.assemble import assemble, flatten
from tocsin.tsdb.block import GRID
from tocsin.tsdb.db import Store
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.run import Run

Samples = dict[tuple[str, int], int]
"""(series, t_ms) -> the bits of the value."""


def _names(ids: np.ndarray) -> tuple[list[Labels], bool]:
    """Series 100 + n is series n that left and came back."""
    return [Labels({"n": str(one % 100)}) for one in ids.tolist()], False


def _said(selection: Selection) -> Samples:
    found: Samples = {}
    for group in selection.groups:
        there = ~is_absent(group.values)
        for row, labels in enumerate(group.labels):
            bits = group.values[row].view(np.uint64)
            for column in np.flatnonzero(there[row]).tolist():
                key = labels["n"], int(group.t_ms[column])
                assert key not in found, "a series stands in one group"
                found[key] = int(bits[column])
    return found


def _laid_over(parts: list[Part]) -> Samples:
    """Each sample by itself, later ones over earlier ones."""
    found: Samples = {}
    for part in parts:
        loose = flatten(part, part.ids) if isinstance(part, GridPiece) else part
        for one, t_ms, bits in zip(loose.ids.tolist(), loose.t_ms.tolist(), loose.values.view(np.uint64).tolist(), strict=True):
            found[str(one % 100), t_ms] = bits
    return found


def _random_loose(random: np.random.Generator, series: int) -> Loose:
    """Some targets with their own offsets, intervals, gaps, jitter and markers; sorted by (id, t)."""
    ids, times = [], []
    for one in random.choice(series, random.integers(1, series + 1), replace=False).tolist():
        interval = int(random.choice([10, 10, 10, 15]))
        t_ms = 1000 + one // 12 * 3 + interval * (random.integers(0, 60) + np.arange(random.integers(1, 40)))
        t_ms = t_ms[random.random(len(t_ms)) > random.choice([0, 0, 0.1])]
        if random.random() < 0.1 and len(t_ms):
            t_ms[random.integers(len(t_ms))] += 1
        ids.append(np.full(len(t_ms), one + 100 * int(random.random() < 0.1)))
        times.append(t_ms)
    values = random.normal(size=sum(map(len, times)))
    values[random.random(len(values)) < 0.02] = STALE_NAN
    run = Run.of(np.concatenate(ids), np.concatenate(times), values)
    return Loose(run.ids, run.t_ms, run.values)


def _as_read(part: Loose) -> list[Part]:
    return Run(part.ids, part.t_ms, part.values).split.read(np.unique(part.ids), 0, 1 << 40)


@pytest.mark.parametrize("seed", range(60))
def test_matrices_of_loose_samples_change_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    loose = [_random_loose(random, 30) for _ in range(random.integers(1, 5))]
    scraped = []
    if random.random() < 0.5:
        values = random.normal(size=(10, 30))
        scraped.append(GridPiece(10, 3 if random.random() < 0.5 else 0, int(random.integers(100, 140)), np.arange(10), values))
    parts: list[Part] = []
    for part in loose:
        parts += _as_read(part) if random.random() < 0.7 else [part]
    assert _laid_over(parts) == _laid_over(list(loose)), "reading a run loses nothing"
    assert _said(assemble(scraped, parts, _names)) == _laid_over([*scraped, *loose])


def test_pushed_series_of_one_target_are_one_matrix() -> None:
    ids, times = np.repeat(np.arange(20), 50), np.tile(7 + 15_000 * np.arange(50), 20)
    selection = assemble([], _as_read(Loose(ids, times, np.arange(1000.0))), _names)
    assert [group.values.shape for group in selection.groups] == [(20, 50)]


def test_a_newer_sample_is_not_hidden_by_an_older_one() -> None:
    """The older one stays loose, the newer one comes as a matrix."""
    older = Loose(np.array([3]), np.array([15_000]), np.array([1.0]))
    newer = _as_read(Loose(np.repeat(np.arange(10), 5), np.tile(15_000 * np.arange(5), 10), np.full(50, 2.0)))
    assert isinstance(newer[0], GridPiece)
    assert set(_said(assemble([], [older, *newer], _names)).values()) == {int(np.float64(2.0).view(np.uint64))}


def test_a_sample_laid_over_a_matrix_that_is_kept_leaves_it_as_it_was() -> None:
    kept = _as_read(Loose(np.repeat(np.arange(10), 5), np.tile(15_000 * np.arange(5), 10), np.full(50, 2.0)))
    newer = Loose(np.array([3]), np.array([15_000]), np.array([7.0]))
    assert _said(assemble([], [*kept, newer], _names))["3", 15_000] == int(np.float64(7.0).view(np.uint64))
    assert set(_said(assemble([], kept, _names)).values()) == {int(np.float64(2.0).view(np.uint64))}


def test_what_was_pushed_is_stored_like_what_was_scraped(make_store: Callable[..., Store], clock: Any) -> None:
    """In a block the series of a target share a matrix, holes and markers and all."""
    labels = [Labels({"__name__": "pushed", "n": str(n)}) for n in range(20)]
    begin_ms = clock.now - clock.now % 7_200_000
    random = np.random.default_rng(5)
    store, expected = make_store(), Samples()
    for first in range(0, 480, 40):
        owners, times = np.repeat(np.arange(20), 40), begin_ms + 15_000 * np.tile(first + np.arange(40), 20)
        keep, values = random.random(800) > 0.05, random.normal(size=800)
        values[random.random(800) < 0.02] = STALE_NAN
        owners, times, values = owners[keep], times[keep], values[keep]
        clock.now = max(clock.now, int(times.max()))
        store.append(Batch([labels[one] for one in owners.tolist()], times, values))
        keys = zip(map(str, owners.tolist()), times.tolist(), strict=True)
        expected.update(zip(keys, values.view(np.uint64).tolist(), strict=True))
    everything = [Matcher("__name__", MatchOp.EQUAL, "pushed")], begin_ms, clock.now
    assert _said(store.select(*everything)) == expected
    clock.now += 4 * 3_600_000
    for _ in range(8):
        clock.now += 20_000
        store.maintain()
    assert [[group.kind for group in block.groups] for block in store.blocks.blocks] == [[GRID]]
    assert _said(store.select(*everything)) == expected
    assert len(store.select(*everything).groups) == 1
