"""An example behind a number: one measured value with labels of its own, most often the id of a trace."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.labels import Labels


@dataclass(frozen=True, slots=True)
class Exemplar:
    """`timed` False = the source gave no time: `t_ms` is that of the sample, and does not tell two exemplars apart."""

    labels: Labels
    value: float
    t_ms: int
    timed: bool = True

    def same(self, other: Exemplar) -> bool:
        """Whether both are one exemplar, seen twice."""
        at_once = self.t_ms == other.t_ms or not (self.timed or other.timed)
        return at_once and self.value == other.value and self.labels == other.labels
