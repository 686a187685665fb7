"""Which series a block is made of, as arrays: no label object is built for writing a block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tocsin.model.series import Int64
from tocsin.tsdb.index import Index
from tocsin.tsdb.table import UInt32


@dataclass(frozen=True, slots=True)
class Series:
    """Series of one metric with the same label names. names = (metric, label, ...); ids uint32 [n]; cells uint32 [n, labels]
    are numbers of the catalogue's texts."""

    names: tuple[str, ...]
    ids: UInt32
    cells: UInt32


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Tables in order of name, series in order of their labels' numbers: neighbours are alike."""

    texts: Sequence[str]
    tables: tuple[Series, ...]

    @property
    def ids(self) -> Int64:
        """Every series id, in order."""
        return np.concatenate([*(table.ids for table in self.tables), np.empty(0, np.uint32)]).astype(np.int64)

    def only(self, wanted: Int64) -> Catalogue:
        """The part with these ids (sorted)."""
        tables = []
        for table in self.tables:
            keep = np.isin(table.ids, wanted)
            if keep.any():
                tables.append(Series(table.names, table.ids[keep], table.cells[keep]))
        return Catalogue(self.texts, tuple(tables))


@dataclass(frozen=True, slots=True)
class Captured:
    """What an index knew. views: names, slots and cells of each table."""

    ids: UInt32
    texts: Sequence[str]
    views: Sequence[tuple[tuple[str, ...], UInt32, UInt32]]

    def build(self) -> Catalogue:
        """Takes a while; may run in another thread or process."""
        ordered = sorted(self.views, key=lambda view: view[0])
        series = (_ordered(Series(names, self.ids[slots], cells)) for names, slots, cells in ordered)
        return Catalogue(self.texts, tuple(series))


def capture(index: Index) -> Captured:
    """What an index knows now, in about a millisecond (call with its lock held). Arrays are not copied, because tables only
    grow or are replaced."""
    views = [
        ((table.metric, *table.names), table.slots[: table.count], table.cells[: table.count])
        for table in index.tables
        if table.count
    ]
    return Captured(index.ids.copy(), index.symbols.texts[:], views)


def merge(catalogues: Iterable[Catalogue]) -> Catalogue:
    """One catalogue of all; an id stands once."""
    texts: dict[str, int] = {"": 0}
    parts: dict[tuple[str, ...], list[Series]] = {}
    for catalogue in catalogues:
        numbers = np.array([texts.setdefault(text, len(texts)) for text in catalogue.texts], np.uint32)
        for table in catalogue.tables:
            parts.setdefault(table.names, []).append(Series(table.names, table.ids, numbers[table.cells]))
    merged = []
    for names in sorted(parts):
        ids, first = np.unique(np.concatenate([part.ids for part in parts[names]]), return_index=True)
        cells = np.concatenate([part.cells for part in parts[names]])[first]
        merged.append(_ordered(Series(names, ids, cells)))
    return Catalogue(list(texts), tuple(merged))


def _ordered(table: Series) -> Series:
    if table.cells.shape[1]:
        order = np.lexsort(table.cells.T[::-1])
        return Series(table.names, table.ids[order], table.cells[order])
    return table
