"""Put the pieces of head, chunks and blocks together into groups that share a time grid.

A series stands in one group. Regular samples stay matrices; a loose sample that falls on its series' grid fills the cell
there; a series with samples on two grids, or off its grid, has its own timestamps, and is laid end to end with others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import ABSENT_BITS, Bool, Float64, Int64, Ragged, Selection, SeriesGroup, absent, is_absent, some_nan
from tocsin.tsdb.piece import GridPiece, Loose, Part
from tocsin.tsdb.regular import on_grids, worth_a_look
from tocsin.tsdb.run import Laid, beginnings

LabelsOf = Callable[[Int64], tuple[Sequence[Labels], bool]]
"""Names for ids, and whether it is known that no two of them have the same: comparing labels is Python work per series."""
_ABSENT = np.uint64(ABSENT_BITS)
_WORTH_SORTING = 256
"""Fewer loose samples are grouped by their times faster than they are looked at for a grid."""
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
    home = np.full(len(labels), -1, np.int64)
    grids = _grids(numbered, home, [])
    laid = Laid.of(loose)
    if len(laid.t_ms) >= _WORTH_SORTING:
        laid = _find_grids(laid, grids, home)
    near = _near(laid, grids, home)
    groups = []
    for number, grid in enumerate(grids):
        patch = None if near is None else _taken(near, home[near.ids] == number)
        group = _grid_group(grid, np.flatnonzero(home == number), patch, labels)
        if group is not None:
            groups.append(group)
    return _at_own_times(groups, _own(grids, laid, home < 0), labels)


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


def _find_grids(laid: Laid, grids: list[_Grid], home: Int64) -> Laid:
    """Lay the series that have no grid yet on those that several of them share; answers the samples that stay loose."""
    homeless = home[laid.ids] == -1
    if not worth_a_look(laid.starts[:-1][homeless], laid.starts[1:][homeless], laid.t_ms):
        return laid
    samples = laid.some(homeless).loose()
    pieces, taken = on_grids(samples.ids, samples.t_ms, samples.values)
    if not pieces:
        return laid
    grids[:] = _grids([(piece, piece.ids) for piece in pieces], home, grids)
    rest = _taken(samples, ~taken)
    return Laid.of([laid.some(~homeless).loose(), *([] if rest is None else [rest])])


def _near(laid: Laid, grids: Sequence[_Grid], home: Int64) -> Loose | None:
    """The samples that fill cells of their series' only grid. A series with others leaves its grid: its home is -2 then."""
    housed = home[laid.ids] >= 0
    if not housed.any():
        return None
    samples = laid.some(housed).loose()
    number = home[samples.ids]
    fits = np.zeros(len(number), np.bool_)
    for which, grid in enumerate(grids):
        mine = np.flatnonzero(number == which)
        step, rest = np.divmod(samples.t_ms[mine] - grid.offset_ms, grid.interval_ms)
        fits[mine] = (rest == 0) & (step > grid.low - _SPREAD) & (step < grid.high + _SPREAD)
    home[samples.ids[~fits]] = -2
    return _taken(samples, home[samples.ids] >= 0)


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
    if some_nan(values) and not (present := values.view(np.uint64) != _ABSENT).all():
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
    if _tiled(grid, series, low, high):
        return np.concatenate([piece.values for piece, _ in grid.pieces], axis=1)
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
        distinct = bool((at[1:] > at[:-1]).all()) or len(np.unique(at)) == len(at)
        if distinct and (written_to[at] < piece.first).all():
            out[_run_of(at), columns] = part
        elif distinct:
            cells = out[at, columns]
            np.copyto(cells, part, where=part.view(np.uint64) != _ABSENT)
            out[at, columns] = cells
        else:
            for row, fresh in zip(at.tolist(), part, strict=True):  # two ids of one series may stand in one piece
                there = fresh.view(np.uint64) != _ABSENT
                out[row, columns][there] = fresh[there]
        written_to[at] = np.maximum(written_to[at], piece.first + part.shape[1] - 1)
    return out


def _run_of(at: Int64) -> Int64 | slice:
    """Distinct rows that stand one behind the other as a slice, which numpy copies without looking at each."""
    return slice(int(at[0]), int(at[-1]) + 1) if (at[1:] == at[:-1] + 1).all() else at


def _tiled(grid: _Grid, series: Int64, low: int, high: int) -> bool:
    """Whether the pieces, one behind the other, are the matrix."""
    for piece, rows in grid.pieces:
        if piece.first != low or not np.array_equal(rows, series):
            return False
        low += piece.values.shape[1]
    return low == high + 1


def _own(grids: Sequence[_Grid], laid: Laid, own: Bool) -> Laid:
    """The samples of the series [k] that have timestamps of their own."""
    found = []
    for grid in grids:
        for piece, rows in grid.pieces:
            mine = np.flatnonzero(own[rows])
            if len(mine):
                whose = rows[mine]
                found.append(flatten(GridPiece(grid.interval_ms, grid.offset_ms, piece.first, whose, piece.values[mine]), whose))
    loose = laid.some(own[laid.ids])
    return Laid.of([*found, loose.loose()]) if found else loose
