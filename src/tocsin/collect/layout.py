"""What a target exposed last time, so that this time only changed lines cost anything.

    body ──same number of lines, and all that changed are values?──▶ values updated in place     (0.05 us a line, 0.1 a change)
             └──no──▶ every line looked up by its series text ──unknown──▶ parsed, relabelled    (0.5 us; 10 us)

Equality of bytes is itself the proof that nothing of a line changed. A layout belongs to one target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import orjson

from tocsin.collect.scrape_lines import Body, Int32, changed, following
from tocsin.collect.scrape_numbers import read_decimals
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
from tocsin.model.series import NAN_BITS, Float64, Int64

Prepare = Callable[[Labels], Labels | None]
"""From the labels as exposed to those to be stored; None = dropped. Raises ValueError for labels beyond a limit."""

_NO_SAMPLE = -1
_DROPPED = -2
_NO_ORIGIN = np.empty(0, np.int64)
_MANY = 400
"""Changed values from which reading them all at once is cheaper than one by one."""


class BadExposition(Exception):
    """The body is not exposition format; the text names the line."""


@dataclass(slots=True)
class Columns:
    """One scrape; which series `values[i]` belongs to is said once, when the layout changes."""

    values: Float64
    origin: Int64
    """[n]: the place of the series in the layout before, or -1 - its place in `fresh`. Empty for the same layout."""
    fresh: list[bytes]
    """Packed labels of new series (`unpacked`)."""
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
    _body: Body = field(default_factory=lambda: Body.of(b""))
    _ends: Int32 = field(default_factory=lambda: np.full(1, _NO_SAMPLE, np.int32))
    """By line: where the series text ends, the blank behind it included; _NO_SAMPLE for comments and blank lines."""
    _slots: Int32 = field(default_factory=lambda: np.full(1, _NO_SAMPLE, np.int32))
    """By line: index into values; _DROPPED by relabelling; _NO_SAMPLE for repeated series and those with timestamps."""
    _values: Float64 = field(default_factory=lambda: np.empty(0))
    _scraped: int = 0
    _timed: list[tuple[int, Labels, int]] = field(default_factory=list)
    """Lines that carried timestamps, with their series and times."""
    _format: Format = "text"
    _interrupted: bool = True
    """Whether what comes next is told in full."""

    def read(self, body: bytes, format: Format) -> Columns:
        """Raises BadExposition, or ValueError where `prepare` refuses labels."""
        whole = format != "openmetrics" or body.endswith(b"\n# EOF\n")
        if not whole and (problem := openmetrics_end(body.split(b"\n"))):
            raise BadExposition(str(problem))
        before = self._body
        now, at = following(before, body)
        if format == self._format and not (self._timed or self._interrupted) and self._update(now, at):
            columns = Columns(self._values, _NO_ORIGIN, [], self._scraped, [], [], same_layout=True)
        else:
            columns = self._learn(now, format)
        if self.with_exemplars and format == "openmetrics" and b" # {" in body:
            try:
                columns.exemplars = self._exemplars(before)
            except BadExposition:
                self.forget()  # nobody will hear of this layout
                raise
        return columns

    def labels(self) -> list[Labels]:
        """Of every value, read anew: they are not kept, because a set of labels takes more room than all else of a series."""
        out: dict[int, Labels] = {}
        for line, slot in zip(self._body.lines(), self._slots.tolist(), strict=True):
            if slot >= 0:
                out[slot] = self._prepared(line, self._format)
        return [out[slot] for slot in range(len(self._values))]

    def _exemplars(self, before: Body) -> list[tuple[Labels, Exemplar]]:
        """Exemplars of the present lines that did not stand in the scrape before. Raises BadExposition."""
        seen = set(before.lines())
        timed = {line: (labels, t_ms) for line, labels, t_ms in self._timed}
        out = []
        for number, (line, end) in enumerate(zip(self._body.lines(), self._ends.tolist(), strict=True)):
            if b" # {" not in line or line in seen or end == _NO_SAMPLE:
                continue
            labels, t_ms = timed.get(number, (None, 0))
            if labels is None and self._slots[number] >= 0:
                labels = self.prepare(parse_sample(line, self._format).labels)
            if labels is None:
                continue
            try:
                exemplar = parse_exemplar(line[end:], t_ms)
            except ValueError as error:
                raise BadExposition(f"line {number + 1}: {error}") from None
            if exemplar is not None:
                out.append((labels, exemplar))
        return out

    def interrupt(self) -> None:
        """The series have ended: what comes next is a new layout, though series it knows are not parsed again."""
        self._interrupted = True

    def forget(self) -> None:
        """Every series is a new one next time."""
        self._body, self._ends, self._slots = Body.of(b""), np.full(1, _NO_SAMPLE, np.int32), np.full(1, _NO_SAMPLE, np.int32)
        self._values, self._timed, self._interrupted = np.empty(0), [], True

    # -- the fast way --------------------------------------------------------------------------------------------------

    def _update(self, now: Body, at: Int64 | None) -> bool:
        """Take the changed values over; False = more than values changed (then nothing is relied on)."""
        if len(now.ends) != len(self._body.ends):
            return False
        lines, first = changed(self._body, now, at)
        if len(lines):
            ends = self._ends[lines]
            tails = now.starts[lines].astype(np.int64) + ends
            if (ends == _NO_SAMPLE).any() or (first < tails).any():
                return False
            values = self._numbers(now.text, tails, now.ends[lines].astype(np.int64))
            if values is None:
                return False
            slots = self._slots[lines]
            kept = slots >= 0
            self._values[slots[kept]] = _normal(values)[kept]
        self._body = now
        return True

    def _numbers(self, text: bytes, starts: Int64, ends: Int64) -> Float64 | None:
        """The values of these tails; None where one is not just a value."""
        if len(starts) < _MANY:
            return self._one_by_one(text, starts, ends)
        values, read = read_decimals(text, starts, ends)
        if not read.all():
            rest = self._one_by_one(text, starts[~read], ends[~read])
            if rest is None:
                return None
            values[~read] = rest
        return values

    def _one_by_one(self, text: bytes, starts: Int64, ends: Int64) -> Float64 | None:
        tails = [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        try:
            values = list(map(float, tails))
            if b"_" not in b"".join(tails):
                return np.array(values)
        except ValueError:
            pass
        try:
            found = [parse_tail(tail, self._format) for tail in tails]
        except ValueError:
            return None
        if self.honor_timestamps and any(t_ms is not None for _, t_ms in found):
            return None
        return np.array([value for value, _ in found])

    # -- the slow way --------------------------------------------------------------------------------------------------

    def _learn(self, body: Body, format: Format) -> Columns:
        """Read every line; series known from before (by their text) are not parsed again."""
        known = self._known()
        seen: set[bytes | int] = set()
        ends, slots, origin, fresh, values = [], [], list[int](), list[bytes](), list[float]()
        timed: list[tuple[Labels, int, float]] = []
        timed_lines: list[tuple[int, Labels, int]] = []
        metadata: list[Metadata] = []
        scraped = 0
        for number, line in enumerate(body.lines(), 1):
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
                        named = self._prepared(line, format) if isinstance(stored, int) else stored
                        timed.append((named, t_ms, value))
                        timed_lines.append((number - 1, named, t_ms))
                    elif (series := stored if isinstance(stored, int) else packed(stored)) not in seen:
                        seen.add(series)
                        slot = len(values)
                        values.append(value)
                        if isinstance(series, int):
                            origin.append(series)
                        else:
                            origin.append(-1 - len(fresh))
                            fresh.append(series)
            except LimitError:
                raise
            except ValueError as error:
                raise BadExposition(f"line {number}: {error}") from None
            ends.append(end)
            slots.append(slot)
        if self.most_samples and len(values) + len(timed) > self.most_samples:
            raise LimitError(f"sample limit exceeded ({len(values) + len(timed)} > {self.most_samples})")
        self._body, self._ends, self._slots = body, np.array(ends, np.int32), np.array(slots, np.int32)
        self._values = _normal(np.array(values, np.float64))
        self._scraped, self._timed, self._format, self._interrupted = scraped, timed_lines, format, False
        return Columns(self._values, np.array(origin, np.int64), fresh, scraped, timed, metadata, same_layout=False)

    def _prepared(self, line: bytes, format: Format) -> Labels:
        stored = self.prepare(parse_sample(line, format).labels)
        assert stored is not None, "a series that was stored before is not dropped now"
        return stored

    def _known(self) -> dict[bytes, Labels | int | None]:
        """Series text -> place, or labels where it had a timestamp, of the scrape before (None = dropped)."""
        out: dict[bytes, Labels | int | None] = {}
        lines = self._body.lines()
        for line, end, slot in zip(lines, self._ends.tolist(), self._slots.tolist(), strict=True):
            if end != _NO_SAMPLE and slot != _NO_SAMPLE:
                out[line[:end]] = slot if slot >= 0 else None
        for i, labels, _ in self._timed:
            out[lines[i][: self._ends[i]]] = labels
        return out

    def _sample(
        self, line: bytes, format: Format, known: dict[bytes, Labels | int | None]
    ) -> tuple[int, Labels | int | None, float, int | None]:
        exemplar = line.find(b" # ") if format == "openmetrics" else -1
        # Whatever is guessed, what is known is a whole series text: its quotes are closed.
        guess = line.rfind(b"} ", 0, exemplar if exemplar >= 0 else len(line)) + 2
        guess = guess if guess > 1 else line.find(b" ") + 1
        if guess > 0 and (text := line[:guess]) in known:
            value, t_ms = parse_tail(line[guess:], format)
            return guess, known[text], value, t_ms
        sample = parse_sample(line, format)
        end = sample.series_end + (line[sample.series_end : sample.series_end + 1] in (b" ", b"\t"))
        return end, self.prepare(sample.labels), sample.value, sample.t_ms


class LimitError(ValueError):
    """A configured limit of the job was exceeded: the scrape fails as a whole."""


def packed(labels: Labels) -> bytes:
    """Labels in a sixth of their room, while those of a whole target wait for the store."""
    return orjson.dumps(labels.pairs)


def unpacked(series: bytes) -> Labels:
    return Labels.from_sorted(tuple([(name, value) for name, value in orjson.loads(series)]))


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
