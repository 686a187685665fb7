"""Room on the disk that is ours when nobody has any left: a file of real blocks, given back to SQLite a slice at a time.

    room                 `reserve` [################]   as large as the disk allows, at most 32 MiB
    a commit finds none  `reserve` [###############]    one slice is cut off, and the commit is tried again at once
    room again           `reserve` [################]   filled up

A slice at a time, because another program that eats the disk may well take what we let go: it gets one slice, not all.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from tocsin.clock import Clock
from tocsin.errors import StateError
from tocsin.log import get_log
from tocsin.metrics import Counter, Gauge

T = TypeVar("T")
log = get_log("state")
HELD = Gauge("tocsin_disk_reserve_bytes", "Bytes kept on the data directory's disk for alerts, incidents and messages.")
WANTED = Gauge("tocsin_disk_reserve_wanted_bytes", "What `tocsin_disk_reserve_bytes` is while there is room.")
USED = Counter(
    "tocsin_disk_reserve_slices_total", "Slices of the reserve that were given to the state database: the disk is full."
)

NAME = "reserve"
_MOST_BYTES = 32 << 20
_SHARE = 16
"""On a small disk the reserve is this part of it."""
_SLICE_BYTES = 1 << 20
_LOOK_MS = 5_000
_PERHAPS_NO_ROOM = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
"""What SQLite says when it cannot lengthen its shared memory or make a file: for want of room, or for another reason."""


class Reserve:
    """The file `reserve` of a data directory. Slices are given from any thread."""

    def __init__(self, folder: Path, *, most_bytes: int = _MOST_BYTES) -> None:
        self._path = folder / NAME
        self._most = most_bytes
        self._lock = threading.Lock()

    def held(self) -> int:
        """Bytes that are kept now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def wanted(self) -> int:
        """Bytes that should be kept on a disk of this size."""
        share = self._disk().f_blocks * self._disk().f_frsize // _SHARE
        return max(min(self._most, share), _SLICE_BYTES)

    def free_bytes(self) -> int:
        return self._disk().f_bavail * self._disk().f_frsize

    def _short(self) -> bool:
        return self.free_bytes() < _SLICE_BYTES

    def _disk(self) -> os.statvfs_result:
        return os.statvfs(self._path.parent)

    def give(self) -> bool:
        """Let go of one slice; False when none is left."""
        with self._lock:
            held = self.held()
            if not held:
                return False
            try:
                os.truncate(self._path, max(held - _SLICE_BYTES, 0))
            except OSError as error:
                log.error("the disk reserve cannot be used", error=str(error))
                return False
        USED.inc()
        log.error("the disk is full: the reserve gives room to alerts and messages", left_bytes=self.held())
        return True

    def fill(self) -> bool:
        """Take what is missing, when there is room for it and as much again; whether all that is wanted is held."""
        with self._lock:
            held, wanted = self.held(), self.wanted()
            if held < wanted and self.free_bytes() >= 2 * wanted - held:
                self._take(wanted)
                held = self.held()
        HELD.set(held)
        WANTED.set(wanted)
        return held >= wanted

    def helps(self, error: BaseException) -> bool:
        """The disk was full, which made this error, and is not at this moment: try again."""
        return self._no_room(error) and self.give()

    def _no_room(self, error: BaseException) -> bool:
        for cause in (error, error.__cause__, error.__context__):
            if isinstance(cause, sqlite3.Error):
                code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
                return code == sqlite3.SQLITE_FULL or (code in _PERHAPS_NO_ROOM and self._short())
            if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
                return True
        return False

    def helped(self, work: Callable[[], T]) -> T:
        """Do `work`, which may be done twice; again whenever it finds no room and a slice is left."""
        while True:
            try:
                return work()
            except (OSError, sqlite3.Error, SQLAlchemyError, StateError) as error:
                if not self.helps(error):
                    raise

    def _take(self, size: int) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # blocks, not a hole
        except OSError as error:
            log.warning("no room could be kept for a full disk", error=str(error))
        finally:
            os.close(fd)

    async def run(self, clock: Clock) -> None:
        """Keep it filled until cancelled."""
        while True:
            await asyncio.to_thread(self.fill)
            await clock.sleep_until_ms(clock.now_ms() + _LOOK_MS)
