"""What an operator may set about the store."""

from __future__ import annotations

from dataclasses import dataclass

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Limits and periods of the store; the defaults suit one machine with up to a million series."""

    retention_ms: int = 90 * _DAY_MS
    """Raw samples older than this are dropped (whole blocks at a time)."""
    retention_rollup_ms: int = 400 * _DAY_MS
    """Rollups (min, max, sum, count, last per 5 m and 1 h) older than this are dropped."""
    max_bytes: int = 0
    """Upper bound for blocks, rollups, head chunks and WAL together; the oldest blocks go first. 0 = no bound."""
    max_series: int = 2_000_000
    """Series in the head; a new one above it is refused."""
    max_label_names: int = 64
    max_label_name_bytes: int = 1024
    max_label_value_bytes: int = 4096
    future_ms: int = 10 * 60_000
    """Samples further in the future than this are refused."""
    flush_ms: int = 250
    """Scrapes wait at most this long in memory before they are written to the WAL."""
    fsync_ms: int = 1000
    """Pause between two fsyncs of the WAL: what a power failure may cost."""
    segment_bytes: int = 64 << 20
    """A WAL segment or head chunk file is closed at this size."""
    segment_ms: int = 15 * 60_000
    """A WAL segment is closed after this long."""
    block_ms: int = 2 * _HOUR_MS
    """Span of a fresh block; the head keeps this much plus `cut_delay_ms`."""
    cut_delay_ms: int = 40 * 60_000
    """A span goes to a block this long after its end, when slow series have mostly closed their windows."""
    merge_delay_ms: int = 3 * _HOUR_MS
    """A day's blocks become one this long after its end."""
    backlog_bytes: int = 2 << 30
    """How much of the log is kept for what is still to be sent on (remote write) when nothing else needs it."""
    max_exemplars: int = 0
    """Exemplars kept in memory, the newest of all series together. 0 = none."""
    min_free_bytes: int = 64 << 20
    """With less room on the disk than this, new samples are kept in memory: what is left is for alerts and incidents. Down to
    half of it blocks are still written, because they take the place of larger head files."""
    unwritten_bytes: int = 128 << 20
    """As many closed windows are kept in memory while the disk is full; then the oldest samples are given up."""
