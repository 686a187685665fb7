"""What the Pushgateway's clients send: the grouping key in the path, an exposition in the body.

/metrics/job/backup/instance/db-1          {job="backup", instance="db-1"}
/metrics/job@base64/YS9i/path@base64/=     values with slashes, and empty ones, as base64url
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.formats.exposition import Metadata, format_of, parse
from tocsin.model.labels import METRIC_NAME, Labels

PUSH_TIME = "push_time_seconds"
MOST_BYTES = 32 << 20
MOST_IN_GROUP = 10_000
"""Samples. A group is appended in one go on the core's loop: some 5 ms."""
_BASE64 = "@base64"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SHOWN_ERRORS = 5


class PushError(ValueError):
    """The push is refused as a whole; `status` is the HTTP status for the sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Push:
    """The body of one push, with the grouping labels over its own."""

    values: Mapping[Labels, float]
    metadata: tuple[Metadata, ...] = ()


def grouping_key(rest: str) -> Labels:
    """The group that `job/<job>{/<label>/<value>}` names (unquoted, without the leading slash). Raises PushError."""
    parts = rest.split("/")
    if len(parts) % 2:
        raise PushError(400, f"odd number of components in label string {'/' + rest!r}: expected /LABEL/VALUE pairs")
    pairs: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        plain = name.removesuffix(_BASE64)
        if not _LABEL.fullmatch(plain) or plain.startswith("__"):
            raise PushError(400, f"improper label name {plain!r}")
        if plain in pairs:
            raise PushError(400, f"label {plain!r} is given twice in the path")
        pairs[plain] = _decoded(value) if name.endswith(_BASE64) else value
    if next(iter(pairs)) != "job" or not pairs["job"]:
        raise PushError(400, "job name is required: /metrics/job/JOB")
    return Labels(pairs)


def _decoded(value: str) -> str:
    """base64url with or without its padding; `=` alone is the empty value."""
    text = value.rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise PushError(400, f"invalid base64 encoding in label value {value!r}") from None


def read_push(body: bytes, content_type: str, encoding: str, group: Labels) -> Push:
    """The samples of a push as they are stored. Raises PushError: nothing of a push with a fault is taken."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("application/vnd.google.protobuf", "application/x-protobuf", "application/json"):
        raise PushError(415, f"content type {kind} is not supported: push the text format or OpenMetrics")
    # curl --data-binary says application/x-www-form-urlencoded, and the Pushgateway reads that as text.
    format = "openmetrics" if kind == "application/openmetrics-text" else format_of("text/plain")
    text = _unpacked(body, encoding)
    # Counted before they are read: as objects they take a hundred times as much.
    samples = text.count(b"\n") - text.count(b"\n#") - text.count(b"\n\n")
    if samples > MOST_IN_GROUP:
        raise PushError(413, f"the group would have {samples} samples; the limit is {MOST_IN_GROUP}: split it by a label")
    exposition, errors = parse(text, format)
    if errors:
        shown = "; ".join(map(str, errors[:_SHOWN_ERRORS]))
        more = f" and {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
        raise PushError(400, f"text format parsing error: {shown}{more}")
    values: dict[Labels, float] = {}
    for sample in exposition.samples:
        if sample.t_ms is not None:
            raise PushError(400, f"pushed metrics must not have timestamps: {sample.labels}")
        labels = sample.labels.merged(group)
        if labels in values:
            raise PushError(400, f"pushed metrics are inconsistent: {labels} is there twice")
        if sample.labels[METRIC_NAME] != PUSH_TIME:
            values[labels] = sample.value
    return Push(values, tuple(exposition.metadata))


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise PushError(415, f"content encoding {encoding!r} is not supported; use gzip or none")
    try:
        return gunzip(body, MOST_BYTES)
    except zlib.error as error:
        raise PushError(400, f"the body is not valid gzip: {error}") from None
    except OverflowError as error:
        raise PushError(413, str(error)) from None


def gunzip(body: bytes, most: int) -> bytes:
    """A gzip body of at most `most` bytes when unpacked. Raises zlib.error, OverflowError."""
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    out = reader.decompress(body, most + 1)
    if len(out) > most:
        raise OverflowError(f"the body has more than {most} bytes when decompressed")
    if not reader.eof:
        raise zlib.error("it ends too early")
    return out
