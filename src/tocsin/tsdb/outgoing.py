"""What a store gives to those who send its samples on: its log from a place on, and the names of the series in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.series import Int64
from tocsin.tsdb.db import Store
from tocsin.tsdb.index import SLOT_MASK
from tocsin.tsdb.tail import Place, Tail


class Outgoing:
    """Around one store, in its process. Any thread may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def tail(self, place: Place | None) -> Tail:
        """Read everything that is appended, from a place on (None = from now); the log is kept for it until it is closed."""
        tails = self._store.tails
        reader = Tail(self._store.path, place, self._store.end_of_log, tails.remove)
        tails.append(reader)
        return reader

    def metadata(self) -> Mapping[str, tuple[str, str, str]]:
        return self._store.metadata()

    def labels_of(self, refs: Int64) -> dict[int, Labels]:
        """Labels by reference, from the head and for series that left it from the blocks; unknown ones are left out."""
        with self._store.head.lock:
            known = self._store.head.index.known(refs)
            found = dict(zip(refs[known].tolist(), self._store.head.index.labels(refs[known] & SLOT_MASK), strict=True))
        missing = refs[~known]
        for block in reversed(self._store.blocks.blocks):
            if not len(missing):
                break
            ids = block.index.ids.astype(np.int64)
            order = np.argsort(ids)
            at = np.minimum(np.searchsorted(ids[order], missing >> 32), len(order) - 1)
            here = ids[order][at] == missing >> 32
            found.update(zip(missing[here].tolist(), block.labels(order[at[here]]), strict=True))
            missing = missing[~here]
        return found
