"""Put the pieces of head, chunks and blocks together into groups that share a time grid.

A series stands in one group. Regular samples stay matrices; a loose sample that falls on its series' grid fills the cell
there; a series with samples on two grids, or off its grid, has its own timestamps, and is laid end to end with others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import ABSENT_BITS, Bool, Float64, Int64, Ragged, Selection, SeriesGroup, absent, is_absent
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.regular import worth_a_look
from tocsin.tsdb.run import Laid, Run, beginnings, joined

LabelsOf = Callable[[Int64], tuple[Sequence[Labels], bool]]
"""Names for ids, and whether it is known that no two of them have the same: comparing labels is Python work per series."""
_ABSENT = np.uint64(ABSENT_BITS)
_WORTH_SORTING = 256
"""Fewer loose samples are grouped by their times faster than they are looked at for a grid."""
_NOTHING = Loose(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
_SPREAD = 4096
"""Scrape numbers by which a loose sample may widen its grid's matrix."""


@dataclass(slots=True, eq=False)
class _Grid:
    """One (interval, offset) and what belongs to it."""

    number: int
    interval_ms: int
    offset_ms: int
    pieces: list[tuple[GridPiece, Int64]]
    """With the series number of each row."""
    low: int
    high: int


def assemble(pieces: Sequence[GridPiece], parts: Sequence[Part], labels_of: LabelsOf) -> Selection:
    """Pieces in order of precedence: later ones win, loose ones over regular ones. `labels_of(ids)` names ids [k]."""
    filled = [part for part in (*pieces, *parts) if len(part.ids)]
    if len(filled) == 1 and isinstance(only := filled[0], GridPiece):
        named, distinct = labels_of(only.ids)
        if distinct:
            group = _without_empty(only.values, named, only.first, only)
            return Selection((group,) if group is not None else ())
    if not filled:
        return Selection(())
    ids = np.unique(np.concatenate([_owners(part) for part in filled]))
    labels, distinct = labels_of(ids)
    if distinct:
        series_of_id = np.arange(len(ids))
    else:
        series_of_id, labels = _merge_equal(labels)
    numbered, loose = _settled(pieces, parts, lambda known: series_of_id[np.searchsorted(ids, known)])
    if not any(len(series) for _, series in numbered):
        laid = Laid.of(loose)
        if len(laid.t_ms) < _WORTH_SORTING or not worth_a_look(laid.starts, laid.t_ms):
            return _at_own_times([], laid, labels)
        loose = [Loose(np.repeat(laid.ids, np.diff(laid.starts)), laid.t_ms, laid.values)]
    home = np.full(len(labels), -1, np.int64)
    grids = _grids(numbered, home, [])
    samples = Loose(*joined(loose)) if loose else None
    if samples is not None and len(samples.ids) >= _WORTH_SORTING:
        samples = _find_grids(samples, grids, home)
    own = home == -2
    fits = np.empty(0, np.bool_)
    if samples is not None:
        fits = _fits(samples, grids, home)
        own[samples.ids[~fits]] = True
        fits &= ~own[samples.ids]
    groups = []
    for number, grid in enumerate(grids):
        patch = None if samples is None else _taken(samples, fits & (home[samples.ids] == number))
        group = _grid_group(grid, np.flatnonzero((home == number) & ~own), patch, labels)
        if group is not None:
            groups.append(group)
    return _at_own_times(groups, Laid.of(_own(grids, samples, own)), labels) if own.any() else Selection(tuple(groups))


def _at_own_times(groups: list[SeriesGroup], laid: Laid, labels: Sequence[Labels]) -> Selection:
    """The groups, and the series that have times of their own; one alone is a group too."""
    names = tuple([labels[number] for number in laid.ids.tolist()])
    if len(names) == 1:
        return Selection((*groups, SeriesGroup(names, laid.t_ms, laid.values[None, :])))
    return Selection(tuple(groups), ragged=Ragged(names, laid.starts, laid.t_ms, laid.values) if names else None)


def _owners(part: Part) -> Int64:
    """The ids that a part has samples of, some of them again and again."""
    return part.ids if isinstance(part, GridPiece) else part.ids[beginnings(part.ids)]


def _settled(
    pieces: Sequence[GridPiece], parts: Sequence[Part], series_of: Callable[[Int64], Int64]
) -> tuple[list[tuple[GridPiece, Int64]], list[Loose]]:
    """Matrices with the series number of each row, and the loose samples with series numbers instead of ids.

    Loose samples that come as matrices go behind the regular ones, except where that would turn the order of precedence.
    """
    matrices = [(piece, series_of(piece.ids)) for piece in pieces]
    loose: list[Loose] = []
    for part in parts:
        if isinstance(part, Loose):
            if len(part.ids):
                begins = beginnings(part.ids)
                series = np.repeat(series_of(part.ids[begins]), np.diff(np.append(begins, len(part.ids))))
                loose.append(Loose(series, part.t_ms, part.values))
            continue
        series = series_of(part.ids)
        if any(_covers(part, series, before) for before in loose):
            # Loose samples win over matrices: an older one would hide the newer one in here.
            loose.append(flatten(part, series))
        else:
            matrices.append((part, series))
    return matrices, loose


def _covers(piece: GridPiece, series: Int64, part: Loose) -> bool:
    """Whether a matrix may hold samples of the same series at the same times."""
    start_ms = piece.first * piece.interval_ms + piece.offset_ms
    end_ms = start_ms + (piece.values.shape[1] - 1) * piece.interval_ms
    inside = (part.t_ms >= start_ms) & (part.t_ms <= end_ms)
    return bool(inside.any() and np.isin(part.ids[inside], series).any())


def flatten(piece: GridPiece, ids: Int64) -> Loose:
    """The samples of a piece, one by one, under these ids or series numbers [k]."""
    row, column = np.nonzero(~is_absent(piece.values))
    t_ms = (piece.first + column) * piece.interval_ms + piece.offset_ms
    return Loose(ids[row], t_ms, piece.values[row, column])


def _merge_equal(labels: Sequence[Labels]) -> tuple[Int64, Sequence[Labels]]:
    """Number the distinct label sets: a series that left and came back has two ids."""
    numbers: dict[Labels, int] = {}
    series = [numbers.setdefault(one, len(numbers)) for one in labels]
    return np.array(series, np.int64), labels if len(numbers) == len(labels) else list(numbers)


def _grids(matrices: Sequence[tuple[GridPiece, Int64]], home: Int64, known: list[_Grid]) -> list[_Grid]:
    """The grids, and in `home` for each series the number of its grid: -1 none, -2 more than one."""
    grids = {(grid.interval_ms, grid.offset_ms): grid for grid in known}
    for piece, series in matrices:
        columns = piece.values.shape[1]
        if not columns or not len(series):
            continue
        key = (piece.interval_ms, piece.offset_ms)
        grid = grids.get(key)
        if grid is None:
            grid = grids[key] = _Grid(len(grids), *key, [], piece.first, piece.first + columns - 1)
        grid.pieces.append((piece, series))
        grid.low = min(grid.low, piece.first)
        grid.high = max(grid.high, piece.first + columns - 1)
        at = home[series]
        if (at != grid.number).any():
            home[series] = np.where((at == -1) | (at == grid.number), grid.number, -2)
    return list(grids.values())


def _find_grids(samples: Loose, grids: list[_Grid], home: Int64) -> Loose | None:
    """Lay the series that have no grid yet on those that several of them share; answers the samples that stay loose."""
    homeless = home[samples.ids] == -1
    if not homeless.any():
        return samples
    run = Run.of(samples.ids[homeless], samples.t_ms[homeless], samples.values[homeless])
    split = run.split
    if not split.pieces:
        return Loose(run.ids, run.t_ms, run.values) if homeless.all() else samples
    grids[:] = _grids([(piece, piece.ids) for piece in split.pieces], home, grids)
    rest = split.rest
    return Loose(*joined([_taken(samples, ~homeless) or _NOTHING, Loose(rest.ids, rest.t_ms, rest.values)]))


def _fits(samples: Loose, grids: Sequence[_Grid], home: Int64) -> Bool:
    """Per sample: whether it lies on the only grid of its series, near the rest."""
    number = home[samples.ids]
    fits = np.zeros(len(number), np.bool_)
    for which, grid in enumerate(grids):
        mine = np.flatnonzero(number == which)
        step, rest = np.divmod(samples.t_ms[mine] - grid.offset_ms, grid.interval_ms)
        good = (rest == 0) & (step > grid.low - _SPREAD) & (step < grid.high + _SPREAD)
        fits[mine] = good
    return fits


def _taken(samples: Loose, mask: Bool) -> Loose | None:
    return Loose(samples.ids[mask], samples.t_ms[mask], samples.values[mask]) if mask.any() else None


def _grid_group(grid: _Grid, series: Int64, patch: Loose | None, labels: Sequence[Labels]) -> SeriesGroup | None:
    """The matrix of the series [k] (ascending numbers) whose only grid this is."""
    if not len(series):
        return None
    low, high = grid.low, grid.high
    if patch is not None:
        numbers = (patch.t_ms - grid.offset_ms) // grid.interval_ms
        low, high = min(low, int(numbers.min())), max(high, int(numbers.max()))
    values = _fill(grid, series, low, high)
    if patch is not None:
        if not values.flags.writeable:  # of a chunk that is kept decoded
            values = values.copy()
        values.view(np.uint64)[np.searchsorted(series, patch.ids), numbers - low] = patch.values.view(np.uint64)
    return _without_empty(values, [labels[number] for number in series.tolist()], low, grid)


def _without_empty(values: Float64, labels: Sequence[Labels], low: int, grid: _Grid | GridPiece) -> SeriesGroup | None:
    """The group of these rows, from number `low` on, without what holds no sample at its edges."""
    present = values.view(np.uint64) != _ABSENT
    if not present.all():
        rows, columns = present.any(1), np.flatnonzero(present.any(0))
        if not len(columns):
            return None
        span = slice(int(columns[0]), int(columns[-1]) + 1)
        if not rows.all():
            values, labels = values[rows], [labels[row] for row in np.flatnonzero(rows).tolist()]
        values, low = values[:, span], low + span.start
    t_ms = np.arange(low, low + values.shape[1]) * grid.interval_ms + grid.offset_ms
    return SeriesGroup(tuple(labels), t_ms, values) if values.size else None


def _fill(grid: _Grid, series: Int64, low: int, high: int) -> Float64:
    """Lay the pieces over each other, [k, high - low + 1]; present cells of later pieces win."""
    if len(grid.pieces) == 1 and low == grid.low and high == grid.high:
        piece, rows = grid.pieces[0]
        if len(rows) == len(series) and (rows == series).all():
            return piece.values
    out = absent((len(series), high - low + 1))
    written_to = np.full(len(series), np.iinfo(np.int64).min, np.int64)
    for piece, rows in grid.pieces:
        at = np.minimum(np.searchsorted(series, rows), len(series) - 1)
        mine = series[at] == rows
        part = piece.values
        if not mine.all():
            at, part = at[mine], part[mine]
        if not len(at):
            continue
        columns = slice(piece.first - low, piece.first - low + part.shape[1])
        if (written_to[at] < piece.first).all():
            out[at, columns] = part
        elif (at[1:] > at[:-1]).all():
            cells = out[at, columns]
            np.copyto(cells, part, where=part.view(np.uint64) != _ABSENT)
            out[at, columns] = cells
        else:
            for row, fresh in zip(at.tolist(), part, strict=True):  # two ids of one series may stand in one piece
                there = fresh.view(np.uint64) != _ABSENT
                out[row, columns][there] = fresh[there]
        written_to[at] = np.maximum(written_to[at], piece.first + part.shape[1] - 1)
    return out


def _own(grids: Sequence[_Grid], samples: Loose | None, own: Bool) -> list[Loose]:
    """The samples of the series [k] that have timestamps of their own, in order of precedence."""
    found = []
    for grid in grids:
        for piece, rows in grid.pieces:
            mine = np.flatnonzero(own[rows])
            if len(mine):
                whose = rows[mine]
                found.append(flatten(GridPiece(grid.interval_ms, grid.offset_ms, piece.first, whose, piece.values[mine]), whose))
    if samples is not None and len(samples.ids):
        mine = np.flatnonzero(own[samples.ids])
        found.append(Loose(samples.ids[mine], samples.t_ms[mine], samples.values[mine]))
    return found
