"""Answering selectors from head and blocks; what `Store` and `Follower` have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels, Matcher
from tocsin.model.ports import SelectHints
from tocsin.model.series import Int64, Selection
from tocsin.tsdb.assemble import assemble
from tocsin.tsdb.block import Block, BlockSet
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.head import Head
from tocsin.tsdb.headview import read_view
from tocsin.tsdb.index import Index
from tocsin.tsdb.piece import GridPiece, Part
from tocsin.tsdb.rollups import FINE_MS, Rollups
from tocsin.tsdb.tombstones import Tombstones, not_deleted, without, without_parts

_NO_HINTS = SelectHints()
_LONG_AGO = int(np.iinfo(np.int64).min)


def _rollup_note(resolution_ms: int, aggregate: str) -> str:
    every = "5m" if resolution_ms == FINE_MS else "1h"
    return f"raw samples of the older part are past their retention: answered from the {aggregate} of each {every}"


class _Names:
    """Labels by series id, made only for ids that are asked for."""

    def __init__(self, ids: Int64, labels: tuple[Labels, ...]) -> None:
        self._head_ids = ids
        self._labels = labels
        self._blocks: list[tuple[Block, Int64]] = []

    def add(self, block: Block, rows: Int64) -> None:
        self._blocks.append((block, rows))

    def of(self, wanted: Int64) -> tuple[Sequence[Labels], bool]:
        """Labels of ids [k], and whether they are certainly all different: a head has no series twice."""
        if wanted is self._head_ids:
            return self._labels, True
        order = np.argsort(self._head_ids)
        ids = self._head_ids[order]
        at = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
        known = ids[at] == wanted if len(ids) else np.zeros(len(wanted), np.bool_)
        if known.all():
            return [self._labels[place] for place in order[at].tolist()], True
        out = {one: self._labels[place] for one, place in zip(wanted[known].tolist(), order[at[known]].tolist(), strict=True)}
        missing = set(wanted[~known].tolist())
        for block, rows in reversed(self._blocks):
            if not missing:
                break
            ids = block.index.ids[rows].astype(np.int64).tolist()
            places = [place for place, one in enumerate(ids) if one in missing]
            found = block.labels(rows[places]) if places else ()
            for place, labels in zip(places, found, strict=True):
                out[ids[place]] = labels
                missing.discard(ids[place])
        return [out[one] for one in wanted.tolist()], False


class Reading:
    """SampleReader over a head and its files. Any thread may call."""

    def __init__(self, head: Head, files: ChunkFiles, path: Path) -> None:
        self.head = head
        self.files = files
        self.blocks = BlockSet(path / "blocks")
        self.rollups = Rollups(path / "rollups")
        self.tombstones = Tombstones(path)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        """Series that pass every matcher and have samples within [start, end], with those samples."""
        # A series that has two ids, in a block and in the head, is known as one by all its labels.
        by = None if self._older(start_ms, end_ms) else hints.by
        # The head first: what moves to a block meanwhile is then seen twice, not missed.
        view = self.head.view(matchers, start_ms, end_ms, by)
        if by is not None and self._older(start_ms, end_ms):
            view = self.head.view(matchers, start_ms, end_ms)
        names = _Names(view.ids, view.labels)
        pieces: list[GridPiece] = []
        loose: list[Part] = []
        warnings: tuple[str, ...] = ()
        raw_from = self._raw_from_ms()
        blocks = [(block, end_ms, 1) for block in self.blocks.overlapping(start_ms, end_ms)]
        if start_ms < raw_from:
            resolution, aggregate = self.rollups.choose(hints)
            last = min(end_ms, raw_from - 1)
            rolled = self.rollups.sets[resolution, aggregate].overlapping(start_ms, last)
            blocks = [(block, last, resolution) for block in rolled] + blocks
            if rolled:
                warnings = (_rollup_note(resolution, aggregate),)
        for block, last_ms, resolution_ms in blocks:
            rows = block.match(matchers)
            if len(rows):
                more = block.read(rows, start_ms, last_ms)
                deleted = self.tombstones.of_block(block, resolution_ms=resolution_ms)
                pieces.extend(without(more[0], deleted))
                loose.extend(without_parts(more[1], deleted))
                names.add(block, rows)
        more = read_view(view, self.files, start_ms, end_ms, self.tombstones)
        found = assemble(pieces + more[0], loose + more[1], names.of)
        return replace(found, warnings=warnings) if warnings and found.series_count else found

    def _older(self, start_ms: int, end_ms: int) -> bool:
        """Whether blocks have a part in the answer."""
        return start_ms < self._raw_from_ms() or bool(self.blocks.overlapping(start_ms, end_ms))

    def _raw_from_ms(self) -> int:
        """Before this instant raw samples are gone; rollups answer."""
        if not self.rollups.sets[FINE_MS, "last"].blocks:
            return _LONG_AGO
        starts = [block.name.start_ms for block in self.blocks.blocks]
        return min(starts, default=int(self.head.cut_ms))

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        """Distinct series that pass one of the matcher lists and have samples in range, sorted.

        As in Prometheus, a block or sealed window that overlaps the range counts as a whole.
        """
        found: set[Labels] = set()
        for index, slots in self.present(matchers, start_ms, end_ms):
            found.update(index.labels(slots))
        ordered = sorted(found, key=attrgetter("pairs"))
        return ordered[:limit] if limit else ordered

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
        found: set[str] = set()
        for index, slots in self.present(matchers, start_ms, end_ms):
            found |= index.names(slots)
        return sorted(found)[: limit or None]

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]:
        found: set[str] = set()
        for index, slots in self.present(matchers, start_ms, end_ms):
            found |= index.values(name, slots)
        return sorted(found)[: limit or None]

    def present(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> Iterator[tuple[Index, Int64]]:
        """Each index with its series in range, locked until the next one."""
        head = self.head
        for one in matchers or [[]]:
            with head.lock:
                yield head.index, head.present(one, start_ms, end_ms, self.tombstones)
            older = self.rollups.sets[FINE_MS, "last"].overlapping(start_ms, min(end_ms, self._raw_from_ms()))
            for block in [*older, *self.blocks.overlapping(start_ms, end_ms)]:
                rows = block.match(one)
                deleted = self.tombstones.of_block(block)
                if deleted:
                    span = max(start_ms, block.name.start_ms), min(end_ms, block.name.end_ms - 1)
                    ids = block.index.ids[rows].astype(np.int64)
                    rows = rows[np.isin(ids, not_deleted(ids, *span, deleted))]
                with block.lock:
                    yield block.index, rows

    def exemplars(self, sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> list[tuple[Labels, list[Exemplar]]]:
        """Exemplars within [start, end] of series that pass one of the matcher lists, by series, sorted."""
        return self.head.exemplars.select(sets, start_ms, end_ms)

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """metric -> (type, help, unit)."""
        return dict(self.head.metadata)
