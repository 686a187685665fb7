"""Where samples go when the disk has no room for them: into memory, so that rules go on over what is new.

    written ──less than `min_free_bytes` left, or a write failed──▶ unwritten: the head takes samples, the log does not
       ▲                                                               │ closed windows stay in memory, the oldest of them
       └──────room for a quarter more, and a trial write works─────────┘ go when they are more than `unwritten_bytes`

What is unwritten when the process dies is lost. On the way back everything open is written at once (`upkeep.rescue`).
"""

from __future__ import annotations

from pathlib import Path

from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge
from tocsin.model.series import is_absent
from tocsin.tsdb.disk import Disk
from tocsin.tsdb.head import Head
from tocsin.tsdb.settings import StoreSettings

_log = get_log("tsdb")
UNWRITTEN = Gauge("tocsin_samples_unwritten", "1: the disk is full and new samples are in memory only.")
DROPPED = Counter("tocsin_samples_dropped_total", "Samples given up because the disk is full and so is the memory for them.")

_TRIAL = "trial.tmp"
_TRIAL_BYTES = 4096
_RETRY_MS = 2000
_LOOSE_BYTES = 24


class Room:
    """Whether the disk takes samples; asked on the loop's thread."""

    def __init__(self, path: Path, settings: StoreSettings, disk: Disk) -> None:
        self._path, self.settings, self._disk = path, settings, disk
        self._failed = ""
        """Why a write failed; empty = none did."""
        self._low = ""
        self._tried_ms = 0
        UNWRITTEN.set(0)

    @property
    def trouble(self) -> str:
        """Why samples are not written at the moment; empty = they are."""
        return self._failed or self._low

    @property
    def full(self) -> bool:
        """Not even blocks, which take the place of larger files, can be written."""
        return bool(self._failed or (self._low and self._free() < self.settings.min_free_bytes // 2))

    def failed(self, error: OSError) -> None:
        """A write did not succeed."""
        if not self._failed:
            self._failed = f"samples cannot be written to {self._path}: {error.strerror or error}"
            self._say(str(error))

    def look(self) -> None:
        """Measure the disk."""
        free = self._free()
        if free < self.settings.min_free_bytes and not self._low:
            self._low = f"only {free >> 20} MiB are free for {self._path}; samples are kept in memory"
            self._say(self._low)

    def _say(self, problem: str) -> None:
        UNWRITTEN.set(1)
        _log.error("new samples are kept in memory until there is room on the disk; alerting goes on", error=problem)

    def returns(self, now_ms: int) -> bool:
        """Whether there is room again; asks the disk every few seconds. True once: samples are written from now on."""
        if now_ms < self._tried_ms + _RETRY_MS or self._free() < self.settings.min_free_bytes * 5 // 4:
            return False
        self._tried_ms = now_ms
        trial = self._path / _TRIAL
        try:
            self._disk.replace(trial, bytes(_TRIAL_BYTES))
            trial.unlink()
        except OSError:
            return False
        self._failed = self._low = ""
        UNWRITTEN.set(0)
        _log.info("there is room again; samples are written")
        return True

    def _free(self) -> int:
        return self._disk.free_bytes(self._path)

    def bound(self, head: Head) -> None:
        """Give up the oldest closed windows and runs that are in memory only, when they are too many."""
        with head.lock:
            windows = sum(window.values.nbytes for window in head.kept)
            runs = sum(len(run.ids) for run in head.loose.runs) * _LOOSE_BYTES
            while windows > self.settings.unwritten_bytes:
                oldest = head.kept.pop(0)
                windows -= oldest.values.nbytes
                DROPPED.inc(by=int((~is_absent(oldest.values)).sum()))
            while runs > self.settings.unwritten_bytes and head.loose.runs:
                run = head.loose.runs.pop(0)
                runs -= len(run.ids) * _LOOSE_BYTES
                DROPPED.inc(by=len(run.ids))
