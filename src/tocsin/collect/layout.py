"""What a target exposed last time, line by line, so that this time only changed lines cost anything.

    body ──split──▶ lines ──same number, and all that changed are values?──▶ values updated in place     (0.2 us a line)
                             └──no──▶ every line looked up by its series text ──unknown──▶ parsed, relabelled  (10 us)

Equality of a line is itself the proof that nothing of it changed. A layout belongs to one target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import ne

import numpy as np

from tocsin.formats.exposition import (
    Format,
    Metadata,
    openmetrics_end,
    parse_comment,
    parse_exemplar,
    parse_sample,
    parse_tail,
)
from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import Labels
from tocsin.model.series import NAN_BITS, Float64

Prepare = Callable[[Labels], Labels | None]
"""From the labels as exposed to those to be stored; None = dropped. Raises ValueError for labels beyond a limit."""

_NO_SAMPLE = -1
_DROPPED = -2


class BadExposition(Exception):
    """The body is not exposition format; the text names the line."""


@dataclass(slots=True)
class Columns:
    """One scrape. `labels[i]` names `values[i]`; the list is the same object as long as the layout is the same."""

    labels: list[Labels]
    values: Float64
    scraped: int
    """Samples in the body, before relabelling."""
    timed: list[tuple[Labels, int, float]]
    """Samples with timestamps of their own."""
    metadata: list[Metadata]
    """Of lines that are new; empty when nothing changed."""
    same_layout: bool
    exemplars: list[tuple[Labels, Exemplar]] = field(default_factory=list)
    """Of lines that are new or have changed, at the time 0 where they have none."""


@dataclass(slots=True)
class Layout:
    """The memory of one target's scrapes."""

    prepare: Prepare
    honor_timestamps: bool = True
    most_samples: int = 0
    with_exemplars: bool = False
    _lines: list[bytes] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    """By line: where the series text ends; _NO_SAMPLE for comments and blank lines."""
    _slots: list[int] = field(default_factory=list)
    """By line: index into values; _DROPPED by relabelling; _NO_SAMPLE for repeated series and those with timestamps."""
    _labels: list[Labels] = field(default_factory=list)
    _values: Float64 = field(default_factory=lambda: np.empty(0))
    _scraped: int = 0
    _timed: list[tuple[int, Labels, int]] = field(default_factory=list)
    """Lines that carried timestamps, with their series and times."""
    _format: Format = "text"

    def read(self, body: bytes, format: Format) -> Columns:
        """Raises BadExposition, or ValueError where `prepare` refuses labels."""
        lines = body.split(b"\n")
        if format == "openmetrics" and (problem := openmetrics_end(lines)):
            raise BadExposition(str(problem))
        before = self._lines
        if len(lines) == len(self._lines) and format == self._format and not self._timed and self._update(lines):
            columns = Columns(self._labels, self._values, self._scraped, [], [], same_layout=True)
        else:
            columns = self._learn(lines, format)
        if self.with_exemplars and format == "openmetrics" and b" # {" in body:
            columns.exemplars = self._exemplars(before)
        return columns

    def _exemplars(self, before: list[bytes]) -> list[tuple[Labels, Exemplar]]:
        """Exemplars of the present lines that did not stand in the scrape before. Raises BadExposition."""
        seen = set(before)
        timed = {line: (labels, t_ms) for line, labels, t_ms in self._timed}
        out = []
        for number, line in enumerate(self._lines):
            if b" # {" not in line or line in seen or self._ends[number] == _NO_SAMPLE:
                continue
            slot = self._slots[number]
            labels, t_ms = timed.get(number, (self._labels[slot] if slot >= 0 else None, 0))
            if labels is None:
                continue
            try:
                exemplar = parse_exemplar(line[self._ends[number] :], t_ms)
            except ValueError as error:
                raise BadExposition(f"line {number + 1}: {error}") from None
            if exemplar is not None:
                out.append((labels, exemplar))
        return out

    def forget(self) -> None:
        self._lines, self._ends, self._slots, self._labels, self._timed = [], [], [], [], []
        self._values = np.empty(0)

    # -- the fast way --------------------------------------------------------------------------------------------------

    def _update(self, lines: list[bytes]) -> bool:
        """Take the changed values over; False = more than values changed (then nothing is relied on)."""
        before, ends, slots = self._lines, self._ends, self._slots
        places: list[int] = []
        values: list[float] = []
        # A Python loop over samples: only over changed ones, and each needs float() of its own.
        for i in compress(range(len(lines)), map(ne, lines, before)):
            line, end = lines[i], ends[i]
            if end == _NO_SAMPLE or line[:end] != before[i][:end]:
                return False
            tail = line[end:]
            try:
                value = float(tail)
            except ValueError:
                try:
                    value, t_ms = parse_tail(tail, self._format)
                except ValueError as error:
                    raise BadExposition(f"line {i + 1}: {error}") from None
                if t_ms is not None and self.honor_timestamps:
                    return False
            if b"_" in tail:
                raise BadExposition(f"line {i + 1}: expected a number")
            if (slot := slots[i]) >= 0:
                places.append(slot)
                values.append(value)
        if places:
            self._values[np.array(places)] = _normal(np.array(values))
        self._lines = lines
        return True

    # -- the slow way --------------------------------------------------------------------------------------------------

    def _learn(self, lines: list[bytes], format: Format) -> Columns:
        """Read every line; series known from before (by their text) are not parsed again."""
        known = self._known()
        seen: set[Labels] = set()
        ends, slots, labels, values = [], [], list[Labels](), list[float]()
        timed: list[tuple[Labels, int, float]] = []
        timed_lines: list[tuple[int, Labels, int]] = []
        metadata: list[Metadata] = []
        scraped = 0
        for number, line in enumerate(lines, 1):
            end, slot = _NO_SAMPLE, _NO_SAMPLE
            try:
                if line[:1] == b"#" or not line.strip():
                    if entry := parse_comment(line):
                        metadata.append(entry)
                else:
                    end, stored, value, t_ms = self._sample(line, format, known)
                    scraped += 1
                    if stored is None:
                        slot = _DROPPED
                    elif t_ms is not None and self.honor_timestamps:
                        timed.append((stored, t_ms, value))
                        timed_lines.append((number - 1, stored, t_ms))
                    elif stored not in seen:
                        seen.add(stored)
                        slot = len(labels)
                        labels.append(stored)
                        values.append(value)
            except LimitError:
                raise
            except ValueError as error:
                raise BadExposition(f"line {number}: {error}") from None
            ends.append(end)
            slots.append(slot)
        if self.most_samples and len(labels) + len(timed) > self.most_samples:
            raise LimitError(f"sample limit exceeded ({len(labels) + len(timed)} > {self.most_samples})")
        self._lines, self._ends, self._slots, self._labels = lines, ends, slots, labels
        self._values, self._scraped, self._timed, self._format = (
            _normal(np.array(values, np.float64)),
            scraped,
            timed_lines,
            format,
        )
        return Columns(labels, self._values, scraped, timed, metadata, same_layout=False)

    def _known(self) -> dict[bytes, Labels | None]:
        """Series text -> stored labels (None = dropped) of the scrape before."""
        out: dict[bytes, Labels | None] = {}
        for line, end, slot in zip(self._lines, self._ends, self._slots, strict=True):
            if end != _NO_SAMPLE and slot != _NO_SAMPLE:
                out[line[:end]] = self._labels[slot] if slot >= 0 else None
        for i, labels, _ in self._timed:
            out[self._lines[i][: self._ends[i]]] = labels
        return out

    def _sample(
        self, line: bytes, format: Format, known: dict[bytes, Labels | None]
    ) -> tuple[int, Labels | None, float, int | None]:
        guess = line.rfind(b"} ") + 1 or line.find(b" ")
        if guess > 0 and (text := line[:guess]) in known:
            value, t_ms = parse_tail(line[guess:], format)
            return guess, known[text], value, t_ms
        sample = parse_sample(line, format)
        return sample.series_end, self.prepare(sample.labels), sample.value, sample.t_ms


class LimitError(ValueError):
    """A configured limit of the job was exceeded: the scrape fails as a whole."""


def _normal(values: Float64) -> Float64:
    """Every NaN as Prometheus stores an ordinary one, so that none can pass for a staleness marker."""
    nan = np.isnan(values)
    if nan.any():
        values.view(np.uint64)[nan] = NAN_BITS
    return values


def limit_checked(labels: Labels, *, most: int, name_length: int, value_length: int) -> Labels:
    """Raises LimitError where a label set is beyond the job's limits (0 = none)."""
    if most and len(labels) > most:
        raise LimitError(
            f"label_limit exceeded (metric: {labels.get('__name__')}, number of labels: {len(labels)}, limit: {most})"
        )
    if name_length or value_length:
        for name, value in labels.pairs:
            if name_length and len(name) > name_length:
                raise LimitError(
                    f"label_name_length_limit exceeded (label: {name[:50]}, length: {len(name)}, limit: {name_length})"
                )
            if value_length and len(value) > value_length:
                raise LimitError(
                    f"label_value_length_limit exceeded (label: {name}, length: {len(value)}, limit: {value_length})"
                )
    return labels


def gone_between(before: Sequence[Labels], after: Sequence[Labels]) -> list[Labels]:
    """Series that were there and are not any more."""
    now = set(after)
    return [labels for labels in before if labels not in now]
