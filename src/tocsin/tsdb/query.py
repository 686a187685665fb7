"""Answering selectors from head and blocks; what `Store` and `Follower` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tocsin.model.labels import Labels, Matcher
from tocsin.model.ports import SelectHints
from tocsin.model.series import Int64, Selection
from tocsin.tsdb.assemble import assemble
from tocsin.tsdb.block import Block, BlockSet
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.head import Head, read_view
from tocsin.tsdb.piece import GridPiece, Loose

_NO_HINTS = SelectHints()


class _Names:
    """Labels by series id, made only for ids that are asked for."""

    def __init__(self, ids: Int64, labels: tuple[Labels, ...]) -> None:
        self._order = np.argsort(ids)
        self._ids = ids[self._order]
        self._labels = labels
        self._blocks: list[tuple[Block, Int64]] = []

    def add(self, block: Block, rows: Int64) -> None:
        self._blocks.append((block, rows))

    def of(self, wanted: Int64) -> list[Labels]:
        if not self._blocks and len(wanted) == len(self._ids):
            return [self._labels[place] for place in self._order.tolist()]
        out: dict[int, Labels] = {}
        at = np.searchsorted(self._ids, wanted)
        for one, place in zip(wanted.tolist(), at.tolist(), strict=True):
            if place < len(self._ids) and self._ids[place] == one:
                out[one] = self._labels[self._order[place]]
        for block, rows in reversed(self._blocks):
            if len(out) == len(wanted):
                break
            ids = block.index.ids[rows].astype(np.int64)
            missing = [place for place, one in enumerate(ids.tolist()) if one not in out]
            if missing:
                out.update(zip(ids[missing].tolist(), block.labels(rows[missing]), strict=True))
        return [out[one] for one in wanted.tolist()]


class Reading:
    """SampleReader over a head and its files. Any thread may call."""

    def __init__(self, head: Head, files: ChunkFiles, blocks: BlockSet) -> None:
        self.head = head
        self.files = files
        self.blocks = blocks

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        """Series that pass every matcher and have samples within [start, end], with those samples."""
        # The head first: what moves to a block meanwhile is then seen twice, not missed.
        view = self.head.view(matchers, start_ms, end_ms)
        names = _Names(view.ids, view.labels)
        pieces: list[GridPiece] = []
        loose: list[Loose] = []
        for block in self.blocks.overlapping(start_ms, end_ms):
            rows = block.match(matchers)
            if len(rows):
                more = block.read(rows, start_ms, end_ms)
                pieces.extend(more[0])
                loose.extend(more[1])
                names.add(block, rows)
        more = read_view(view, self.files, start_ms, end_ms)
        return assemble(pieces + more[0], loose + more[1], names.of)

    def series(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[Labels]:
        """Distinct series that pass one of the matcher lists and have samples in range, sorted."""
        found: set[Labels] = set()
        for one in matchers or [[]]:
            for group in self.select(one, start_ms, end_ms).groups:
                found.update(group.labels)
        ordered = sorted(found)
        return ordered[:limit] if limit else ordered

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0) -> list[str]:
        names = sorted({name for labels in self.series(matchers, start_ms, end_ms) for name in labels})
        return names[:limit] if limit else names

    def label_values(
        self, name: str, matchers: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int, limit: int = 0
    ) -> list[str]:
        values = sorted({labels[name] for labels in self.series(matchers, start_ms, end_ms) if name in labels})
        return values[:limit] if limit else values

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        """metric -> (type, help, unit)."""
        return dict(self.head.metadata)
