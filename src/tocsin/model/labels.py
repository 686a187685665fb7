"""Labels and matchers."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import re2

METRIC_NAME = "__name__"
METADATA_LABELS = (METRIC_NAME, "__type__", "__unit__")
"""What an operation that changes a metric's meaning takes away."""

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF


class Labels(Mapping[str, str]):
    """An immutable, sorted name -> value map. Empty values do not exist: they are dropped.

    Hash and equality are those of the sorted pairs, so `Labels` is a dictionary key.
    """

    __slots__ = ("_hash", "_map", "pairs")

    pairs: tuple[tuple[str, str], ...]

    def __init__(self, source: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        items = source.items() if isinstance(source, Mapping) else source
        self.pairs = tuple(sorted({name: value for name, value in items if value != ""}.items()))
        self._map = dict(self.pairs)
        self._hash = hash(self.pairs)

    @classmethod
    def from_sorted(cls, pairs: tuple[tuple[str, str], ...]) -> Labels:
        """Wrap pairs that are already sorted, unique and without empty values (not checked)."""
        self = cls.__new__(cls)
        self.pairs = pairs
        self._map = dict(pairs)
        self._hash = hash(pairs)
        return self

    @property
    def as_dict(self) -> dict[str, str]:
        """The pairs as a dictionary in their order, for encoders; never to be written to."""
        return self._map

    def __getitem__(self, name: str) -> str:
        return self._map[name]

    def get(self, name: str, default: Any = "") -> Any:
        """Value of `name`; the default is the empty string, as a missing label is an empty one."""
        return self._map.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self.pairs == other.pairs
        return NotImplemented

    def __lt__(self, other: Labels) -> bool:
        return self.pairs < other.pairs

    def __repr__(self) -> str:
        return f"Labels({self})"

    def __str__(self) -> str:
        """As Prometheus prints a series: `name{a="b"}`."""
        name = self._map.get(METRIC_NAME, "")
        rest = ", ".join(f"{k}={quote(v)}" for k, v in self.pairs if k != METRIC_NAME)
        return f"{name}{{{rest}}}" if rest or not name else name

    def __reduce__(self) -> tuple[Any, ...]:
        return (Labels.from_sorted, (self.pairs,))

    def merged(self, changes: Mapping[str, str]) -> Labels:
        """A copy with `changes` set over these; an empty value removes."""
        return Labels({**self._map, **changes})

    def without(self, *names: str) -> Labels:
        return Labels.from_sorted(tuple(pair for pair in self.pairs if pair[0] not in names))

    def only(self, names: Iterable[str]) -> Labels:
        wanted = set(names)
        return Labels.from_sorted(tuple(pair for pair in self.pairs if pair[0] in wanted))

    def fingerprint(self) -> int:
        """FNV-1a 64 over name, 0xFF, value, 0xFF of the sorted pairs: Alertmanager's fingerprint."""
        return _fingerprint(self)

    def fingerprint_hex(self) -> str:
        """The fingerprint as it appears in APIs: 16 lower-case hex digits."""
        return f"{self.fingerprint():016x}"


@lru_cache(maxsize=32_768)
def _fingerprint(labels: Labels) -> int:
    """Remembered: an alert's is asked for at every station of its way, and a loop over bytes is slow."""
    h = _FNV_OFFSET
    for byte in b"".join([part.encode() + b"\xff" for pair in labels.pairs for part in pair]):
        h = ((h ^ byte) * _FNV_PRIME) & _MASK
    return h


EMPTY_LABELS = Labels()


def quote(text: str) -> str:
    """A double-quoted string with the escapes that Go's strconv.Quote uses for the usual characters."""
    out = ['"']
    for char in text:
        match char:
            case '"' | "\\":
                out.append("\\" + char)
            case "\n":
                out.append("\\n")
            case "\t":
                out.append("\\t")
            case "\r":
                out.append("\\r")
            case _ if ord(char) < 0x20 or ord(char) == 0x7F:
                out.append(f"\\x{ord(char):02x}")
            case _:
                out.append(char)
    out.append('"')
    return "".join(out)


class MatchOp(enum.StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@lru_cache(maxsize=4096)
def compile_anchored(pattern: str) -> Any:
    """A linear-time (RE2) pattern that must match the whole text; `.` also matches a line break, as in Prometheus.

    Raises re2.error where RE2 refuses the pattern.
    """
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(f"^(?:{pattern})$", options)


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label test. Regular expressions are RE2 and fully anchored. A missing label has the empty value."""

    name: str
    op: MatchOp
    value: str
    _regex: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.op in (MatchOp.REGEX, MatchOp.NOT_REGEX):
            object.__setattr__(self, "_regex", compile_anchored(self.value))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Matcher, (self.name, self.op, self.value))

    def matches_value(self, value: str) -> bool:
        match self.op:
            case MatchOp.EQUAL:
                return value == self.value
            case MatchOp.NOT_EQUAL:
                return value != self.value
            case MatchOp.REGEX:
                return self._regex.match(value) is not None
            case MatchOp.NOT_REGEX:
                return self._regex.match(value) is None

    def matches(self, labels: Mapping[str, str]) -> bool:
        return self.matches_value(labels.get(self.name) or "")

    @property
    def matches_empty(self) -> bool:
        return self.matches_value("")

    def __str__(self) -> str:
        return f"{self.name}{self.op.value}{quote(self.value)}"


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
