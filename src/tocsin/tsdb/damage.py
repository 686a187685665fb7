"""Damaged bytes: counted, logged, never a reason not to start."""

from __future__ import annotations

from tocsin.log import get_log
from tocsin.metrics import Counter

_log = get_log("tsdb")
DAMAGED_RECORDS = Counter(
    "tocsin_damaged_records_total", "Records of the WAL, chunks and blocks that were unreadable, by part.", ("part",)
)


def report(part: str, where: str, problem: str, **fields: object) -> None:
    """Note one damaged record. `part`: wal, head, block, tables."""
    DAMAGED_RECORDS.inc(part)
    _log.error("damaged record skipped", part=part, where=where, problem=problem, **fields)
