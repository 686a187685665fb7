"""Damaged bytes: counted, logged, never a reason not to start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tocsin.log import get_log
from tocsin.metrics import Counter

_log = get_log("tsdb")
DAMAGED_RECORDS = Counter(
    "tocsin_damaged_records_total", "Records of the WAL, chunks and blocks that were unreadable, by part.", ("part",)
)


Found = tuple[str, str, str, dict[str, object]]
_diverted: list[list[Found]] = []


def report(part: str, where: str, problem: str, **fields: object) -> None:
    """Note one damaged record. `part`: wal, head, block, tables."""
    if _diverted:
        _diverted[-1].append((part, where, problem, fields))
        return
    DAMAGED_RECORDS.inc(part)
    _log.error("damaged record skipped", part=part, where=where, problem=problem, **fields)


@contextmanager
def collected() -> Iterator[list[Found]]:
    """What is reported meanwhile is only listed, for another process that counts and logs it."""
    found: list[Found] = []
    _diverted.append(found)
    try:
        yield found
    finally:
        _diverted.remove(found)
