"""Open windows against a dictionary: cells that were released, never written, or of rows that changed hands never show."""

from __future__ import annotations

import mmap
import random

import numpy as np
import pytest

from tocsin.model.series import is_absent
from tocsin.tsdb.grid import Grid
from tocsin.tsdb.memory import GROUP_ROWS, SLOTS, Cells

_INTERVAL_MS = 15_000
_OFFSETS = (0, 500, 7_000)


class Model:
    """A grid, and beside it every open sample as {(row, number): value}."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.grid = Grid(_INTERVAL_MS)
        self.open: dict[tuple[int, int], float] = {}
        self.sealed: dict[tuple[int, int], float] = {}
        self.rows: dict[int, list[int]] = {offset: [] for offset in _OFFSETS}
        self.slots = 0
        self.value = 0.0

    def allocate(self) -> None:
        offset, count = self.random.choice(_OFFSETS), self.random.choice((1, 3, 60, 130, 700))
        slots = np.arange(self.slots, self.slots + count)
        self.slots += count
        self.rows[offset] += self.grid.allocate(slots, offset).tolist()

    def free(self) -> None:
        rows = self.rows[self.random.choice(_OFFSETS)]
        gone = {row for row in rows if self.random.random() < 0.1}
        if gone:
            rows[:] = [row for row in rows if row not in gone]
            self.grid.free(np.array(sorted(gone)))
            self.open = {key: value for key, value in self.open.items() if key[0] not in gone}

    def write(self, offset: int, number: int, *, share: float) -> None:
        rows = [row for row in self.rows[offset] if self.random.random() < share]
        if not rows:
            return
        grid, blocks = self.grid, Grid.blocks_of(np.array(rows))
        for block in grid.overdue(blocks, number):
            self.close(block, number=number)
        grid.open(blocks, number, stagger=True, segment=1)
        if (grid.first[blocks] > number).any():
            return  # too late for some: the head puts those elsewhere
        values = np.arange(self.value, self.value + len(rows))
        self.value += len(rows)
        runs = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1)
        spans = [(slice(run[0], run[-1] + 1), slice(rows[run[0]], rows[run[-1]] + 1)) for run in runs]
        taken = grid.write(np.array(rows), number, values, blocks, spans if self.random.random() < 0.7 else ())
        assert set(taken.tolist()) == {place for place, row in enumerate(rows) if (row, number) in self.open}
        for row, value in zip(rows, values.tolist(), strict=True):
            self.open.setdefault((row, number), value)

    def close(self, block: int, *, number: int | None = None) -> None:
        window = self.grid.close(block, np.arange(self.slots + 1, dtype=np.uint32), number=number)
        if window is None:
            return
        found = {}
        for row, column in np.argwhere(~is_absent(window.values)).tolist():
            found[block * 512 + row, window.first + column] = float(window.values[row, column])
        end = window.first + window.values.shape[1]
        mine = {key: value for key, value in self.open.items() if key[0] // 512 == block and key[1] < end}
        assert found == mine, "a window is sealed with exactly what was written"
        self.sealed |= mine
        self.open = {key: value for key, value in self.open.items() if key not in mine}

    def check(self, low: int, high: int) -> None:
        rows = np.array(sorted(row for rows in self.rows.values() for row in rows), np.int64)
        found = {}
        for piece in self.grid.read(rows, rows, low * _INTERVAL_MS, high * _INTERVAL_MS + _INTERVAL_MS - 1):
            for place, column in np.argwhere(~is_absent(piece.values)).tolist():
                found[int(piece.ids[place]), piece.first + column] = float(piece.values[place, column])
        assert found == {key: value for key, value in self.open.items() if low <= key[1] <= high}
        held = {row for row, _ in self.open}
        assert self.grid.hold(rows).tolist() == [row in held for row in rows.tolist()]
        for row in self.random.sample(rows.tolist(), min(len(rows), 20)):
            assert self.grid.any_sample(row, low, high) == any((row, one) in self.open for one in range(low, high + 1))


@pytest.mark.parametrize("seed", range(6))
def test_only_what_was_written_is_read(seed: int) -> None:
    model = Model(seed)
    dice, number = model.random, 5_000
    model.allocate()
    for _ in range(100):
        kind = dice.random()
        if kind < 0.08:
            model.allocate()
        elif kind < 0.14:
            model.free()
        elif kind < 0.17:
            model.close(dice.randrange(max(model.grid.block_count, 1)))
        elif kind < 0.20:
            number += dice.choice((2, 5, 40, SLOTS, 200))  # nobody was scraped for a while
        else:
            number += dice.random() < 0.6
            late = dice.choice((0, 0, 0, 1, 3))
            model.write(dice.choice(_OFFSETS), number - late, share=dice.choice((1.0, 1.0, 0.5)))
        if dice.random() < 0.3:
            model.check(number - dice.randrange(90), number + 1)
    model.check(0, number + SLOTS)


def test_sealed_numbers_are_dropped_and_later_ones_stay() -> None:
    grid = Grid(_INTERVAL_MS)
    rows = grid.allocate(np.arange(100), 0)
    blocks = Grid.blocks_of(rows)
    for number in range(1_000, 1_020):
        grid.open(blocks, number, stagger=False, segment=1)
        grid.write(rows, number, np.full(100, float(number)), blocks)
    grid.drop(rows, before=1_012)
    (piece,) = grid.read(rows, rows, 0, 2_000 * _INTERVAL_MS)
    assert piece.first == 1_012
    assert (piece.values == np.arange(1_012.0, 1_020.0)).all()
    grid.drop(rows, before=1_030)
    assert not list(grid.read(rows, rows, 0, 2_000 * _INTERVAL_MS))


def test_released_pages_are_given_back_and_the_others_are_as_they_were() -> None:
    cells = Cells(3)
    cells.grow(8)
    cells.values[:] = 1.0
    page = mmap.PAGESIZE // (GROUP_ROWS * 8)
    if page > SLOTS // 2:
        pytest.skip("pages are larger than a group")
    cells.release(2, 3, {page, page + 1})
    assert (cells.values[2:4, page : 2 * page] == 1.0).all()
    assert (cells.values[2:4, :page] == 0.0).all() and (cells.values[2:4, 2 * page :] == 0.0).all()
    assert (cells.values[:2] == 1.0).all() and (cells.values[4:] == 1.0).all()
    cells.release(0, 7, set())
    assert (cells.values == 0.0).all()
