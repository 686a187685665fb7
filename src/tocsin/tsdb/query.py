"""Answering selectors from head and blocks; what `Store` and `Follower` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tocsin.model.labels import Labels, Matcher
from tocsin.model.ports import SelectHints
from tocsin.model.series import Int64, Selection
from tocsin.tsdb.assemble import assemble
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.head import Head, read_view

_NO_HINTS = SelectHints()


class Reading:
    """SampleReader over a head and its files. Any thread may call."""

    def __init__(self, head: Head, files: ChunkFiles) -> None:
        self.head = head
        self.files = files

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int, hints: SelectHints = _NO_HINTS) -> Selection:
        """Series that pass every matcher and have samples within [start, end], with those samples."""
        view = self.head.view(matchers, start_ms, end_ms)
        pieces, loose = read_view(view, self.files, start_ms, end_ms)
        order = np.argsort(view.ids)
        ids = view.ids[order]

        def labels_of(wanted: Int64) -> list[Labels]:
            return [view.labels[place] for place in order[np.searchsorted(ids, wanted)].tolist()]

        return assemble(pieces, loose, labels_of)

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
