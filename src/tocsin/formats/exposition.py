"""The text formats of metrics: Prometheus 0.0.4 / 1.0.0 and OpenMetrics 1.0.0, read and written.

    http_requests_total{code="200",path="/"} 1027 1395066363000
    └──────────── series ───────────────────┘ └value┘ └ timestamp: ms in text, seconds in OpenMetrics, optional ┘

The scraper keeps the series text of each line and comes here only for lines it has not seen (see collect/layout.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tocsin.metrics import Family
from tocsin.model.exemplar import Exemplar
from tocsin.model.labels import METRIC_NAME, Labels

Format = Literal["text", "openmetrics"]

LONGEST_LINE = 1 << 20
"""Bytes of a sample's line: a million labels would take a gigabyte before anybody could refuse them."""
_KINDS = {
    "counter",
    "gauge",
    "histogram",
    "summary",
    "untyped",
    "unknown",
    "info",
    "stateset",
    "gaugehistogram",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line. `t_ms` None = no timestamp given. `series_end`: offset of the first byte after the series text."""

    labels: Labels
    value: float
    t_ms: int | None
    series_end: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """A `# TYPE`, `# HELP` or `# UNIT` line: metric, which of the three, its text."""

    metric: str
    field: Literal["type", "help", "unit"]
    text: str


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that is not exposition format; `line` counts from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Exposition:
    samples: list[Sample]
    metadata: list[Metadata]


# One pass, no backtracking: each alternative begins with a byte that no other one accepts.
_SERIES = re.compile(rb'[ \t]*(?:([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*)?(?:\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\})?')
_EXEMPLAR = re.compile(rb'[ \t]*\{((?:[^"{}]|"(?:[^"\\]|\\.)*")*)\}[ \t]+(\S+)(?:[ \t]+(\S+))?[ \t\r]*')
_LABEL = re.compile(
    r'[ \t]*(?:"((?:[^"\\]|\\.)*)"|([a-zA-Z_][a-zA-Z0-9_]*))[ \t]*(?:=[ \t]*"((?:[^"\\]|\\.)*)")?[ \t]*(,|$)', re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def format_of(content_type: str, fallback: str = "") -> Format:
    """The format that a Content-Type means. Raises ValueError when it means none and `fallback` (a scrape protocol) is empty."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/openmetrics-text":
        return "openmetrics"
    if kind == "text/plain":
        return "text"
    if fallback:
        return "openmetrics" if fallback.startswith("OpenMetrics") else "text"
    said = f"unsupported Content-Type {content_type!r}" if kind else "no Content-Type"
    raise ValueError(f"the answer has {said} and no fallback_scrape_protocol is configured for the target")


def parse(body: bytes, format: Format = "text") -> tuple[Exposition, list[LineError]]:
    """Read a whole exposition. A bad line is reported and left out; the others are kept."""
    samples: list[Sample] = []
    metadata: list[Metadata] = []
    errors: list[LineError] = []
    lines = body.split(b"\n")
    if format == "openmetrics" and (problem := openmetrics_end(lines)):
        errors.append(problem)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if line.lstrip()[:1] == b"#":
                if entry := parse_comment(line):
                    metadata.append(entry)
            else:
                samples.append(parse_sample(line, format))
        except ValueError as error:
            errors.append(LineError(number, str(error)))
    return Exposition(samples, metadata), errors


def openmetrics_end(lines: list[bytes]) -> LineError | None:
    """OpenMetrics ends with `# EOF`, so that a cut answer shows."""
    last = len(lines) - 1 if lines and not lines[-1] else len(lines)
    if last >= 1 and lines[last - 1] == b"# EOF":
        return None
    return LineError(max(last, 1), "data does not end with # EOF")


def parse_sample(line: bytes, format: Format = "text") -> Sample:
    """One sample line. Raises ValueError with what is wrong."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a line of {len(line)} bytes; the limit is {LONGEST_LINE}")
    found = _SERIES.match(line)
    end = found.end() if found else 0
    if found is None or (found[1] is None and found[2] is None):
        raise ValueError(f"expected a metric name, got {_shown(line)}")
    labels = _labels(found[1], found[2])
    rest = line[end:]
    if found[2] is None and rest[:1] not in (b" ", b"\t") and line[end - 1 : end] not in (b" ", b"\t"):
        raise ValueError(f"expected a value after the metric name, got {_shown(rest)}")
    value, t_ms = parse_tail(rest, format)
    return Sample(labels, value, t_ms, end)


def parse_tail(tail: bytes, format: Format = "text") -> tuple[float, int | None]:
    """What follows the series: value, timestamp (ms) or None; an exemplar is passed over. Raises ValueError."""
    if format == "openmetrics":
        tail = tail.partition(b" # ")[0]
    parts = tail.split()
    if not 1 <= len(parts) <= 2:
        raise ValueError(f"expected a value and at most a timestamp, got {_shown(tail)}")
    value = parse_value(parts[0])
    if len(parts) == 1:
        return value, None
    try:
        return value, round(parse_value(parts[1]) * 1000) if format == "openmetrics" else int(parts[1])
    except (ValueError, OverflowError):
        raise ValueError(f"expected a timestamp, got {_shown(parts[1])}") from None


def parse_exemplar(tail: bytes, t_ms: int) -> Exemplar | None:
    """The exemplar behind a sample, None when there is none; at `t_ms` when it has no time. `tail` is what follows the
    series. Raises ValueError."""
    at = tail.find(b" # ")
    if at < 0:
        return None
    found = _EXEMPLAR.fullmatch(tail, at + 3)
    if found is None:
        raise ValueError(f'expected an exemplar such as {{trace_id="a"}} 1.5 1700000000, got {_shown(tail[at + 3 :])}')
    pairs: dict[str, str] = {}
    _read_pairs(found[1].decode("utf-8").strip(" \t"), pairs)
    value = parse_value(found[2])
    if found[3] is None:
        return Exemplar(Labels(pairs), value, t_ms, timed=False)
    try:
        return Exemplar(Labels(pairs), value, round(parse_value(found[3]) * 1000))
    except (ValueError, OverflowError):
        raise ValueError(f"expected the time of an exemplar, got {_shown(found[3])}") from None


def parse_value(text: bytes) -> float:
    """A number as Go reads one. Raises ValueError."""
    try:
        if b"_" not in text:
            return float(text)
        raise ValueError
    except ValueError:
        if text[:2].lower() == b"0x" or text[1:3].lower() == b"0x":
            try:
                return float.fromhex(text.decode("ascii"))
            except (ValueError, OverflowError):
                pass
        raise ValueError(f"expected a number, got {_shown(text)}") from None


def parse_comment(line: bytes) -> Metadata | None:
    """The metadata of a `#` line; None for a plain comment. Raises ValueError for an unknown type."""
    parts = line.split(None, 3)
    if len(parts) < 3 or parts[0] != b"#" or parts[1] not in (b"TYPE", b"HELP", b"UNIT"):
        return None
    metric = parts[2].decode("utf-8")
    if metric.startswith('"') and metric.endswith('"') and len(metric) > 1:
        metric = _unescape(metric[1:-1])
    text = parts[3].decode("utf-8", "replace").rstrip("\r") if len(parts) > 3 else ""
    if parts[1] == b"TYPE":
        kind = text.strip().lower()
        if kind not in _KINDS:
            raise ValueError(f"invalid metric type {text.strip()!r}")
        return Metadata(metric, "type", {"untyped": "unknown"}.get(kind, kind))
    return Metadata(metric, "help" if parts[1] == b"HELP" else "unit", _unescape(text))


def _labels(name: bytes | None, inside: bytes | None) -> Labels:
    pairs: dict[str, str] = {METRIC_NAME: name.decode("ascii")} if name is not None else {}
    if inside:
        _read_pairs(inside.decode("utf-8").strip(" \t"), pairs)
    if METRIC_NAME not in pairs:
        raise ValueError("the series has no metric name")
    return Labels(pairs)


def _read_pairs(text: str, pairs: dict[str, str]) -> None:
    at = 0
    while at < len(text):
        found = _LABEL.match(text, at)
        if found is None:
            raise ValueError(f'expected label="value", got {text[at : at + 40]!r}')
        at = found.end()
        quoted, plain, value = found[1], found[2], found[3]
        if value is None:
            # {"metric name", label="value"}: a quoted name alone is the metric's own.
            if quoted is None or METRIC_NAME in pairs:
                raise ValueError(f"label {quoted if plain is None else plain!r} has no value")
            pairs[METRIC_NAME] = _unescape(quoted)
            continue
        label = plain if quoted is None else _unescape(quoted)
        if label in pairs:
            raise ValueError(f"label {label!r} is given twice")
        pairs[label] = _unescape(value) if "\\" in value else value


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: {"n": "\n", "\\": "\\", '"': '"'}.get(m[1], m[0]), text) if "\\" in text else text


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))


# -- writing -----------------------------------------------------------------------------------------------------------


def write_text(families: Iterable[Family]) -> bytes:
    """Prometheus text format 0.0.4."""
    return "".join(_lines(families)).encode()


def _lines(families: Iterable[Family]) -> Iterator[str]:
    for family in families:
        if family.help:
            yield f"# HELP {family.name} {_escape_help(family.help)}\n"
        yield f"# TYPE {family.name} {family.kind}\n"
        for sample in family.samples:
            pairs = ",".join(f'{name}="{escape_value(value)}"' for name, value in sample.labels)
            yield (
                f"{sample.name}{{{pairs}}} {format_value(sample.value)}\n"
                if pairs
                else f"{sample.name} {format_value(sample.value)}\n"
            )


def format_value(value: float) -> str:
    """The shortest text that reads back as the same number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def escape_value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
