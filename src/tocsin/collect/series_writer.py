"""Writes sets of samples that come again and again from one source: resolves each series once, ends those that vanish."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.ports import SampleWriter
from tocsin.model.series import STALE_NAN, Float64, Int64


class SeriesWriter:
    """One per owner of sources (receiver, host, self). Call from the loop's thread."""

    def __init__(self, writer: SampleWriter) -> None:
        self._writer = writer
        self._known: dict[Hashable, dict[Labels, int]] = {}

    def write(self, source: Hashable, values: Mapping[Labels, float], t_ms: int, *, grid_ms: int = 0) -> None:
        """All samples that `source` has at `t_ms`; series it had before and has no more get a staleness marker."""
        known = self._known.get(source, {})
        new = [labels for labels in values if labels not in known]
        if new:
            known = {**known, **dict(zip(new, self._writer.refs(new).tolist(), strict=True))}
        gone = [labels for labels in known if labels not in values]
        numbers = np.fromiter((*values.values(), *(0.0 for _ in gone)), np.float64, len(values) + len(gone))
        numbers[len(values) :] = STALE_NAN
        refs = np.fromiter((*(known[labels] for labels in values), *(known[labels] for labels in gone)), np.int64, len(numbers))
        self._known[source] = {labels: known[labels] for labels in values}
        self._append(refs, numbers, t_ms, grid_ms, [*values, *gone])

    def end(self, source: Hashable, t_ms: int) -> None:
        """The source is no more: end its series."""
        if source in self._known:
            self.write(source, {}, t_ms)
            del self._known[source]

    def _append(self, refs: Int64, values: Float64, t_ms: int, grid_ms: int, labels: list[Labels]) -> None:
        accepted = refs >= 0  # -1: a limit refused the series
        if not accepted.any():
            return
        try:
            self._writer.append_refs(refs[accepted], t_ms, values[accepted], grid_ms=grid_ms)
        except KeyError:
            # The store dropped some of the series meanwhile: learn all references anew, once.
            self._known.clear()
            fresh = self._writer.refs(labels)
            accepted = fresh >= 0
            self._writer.append_refs(fresh[accepted], t_ms, values[accepted], grid_ms=grid_ms)
