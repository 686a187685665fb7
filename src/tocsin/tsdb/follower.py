"""The store as another process sees it: loads what the core has written and follows its log without end.

Freshness is the core's flush period: the kernel tells when the log has grown (`watch`), and nothing ticks while it has not.
When a segment it needs is gone, it loads everything again and says so. It writes nothing.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tocsin.clock import Clock
from tocsin.log import get_log
from tocsin.metrics import Gauge
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.disk import SYSTEM_DISK, file_name, numbered
from tocsin.tsdb.grid import Window
from tocsin.tsdb.head import Head
from tocsin.tsdb.load import WAL_SUFFIX, drain, load
from tocsin.tsdb.query import Reading
from tocsin.tsdb.replay import Replay
from tocsin.tsdb.wal import Reader
from tocsin.tsdb.watch import FolderWatch

_log = get_log("tsdb.follower")
LAG_SECONDS = Gauge("tocsin_follower_lag_seconds", "Time since the follower last reached the end of the store's log.")
_LOOK_S = 5.0
"""A step at least this often, whatever the kernel told: it also finds that the log went on without us."""
_REST_S = 0.1
"""Between two steps: many small pushes a second are read together."""
_KEPT_WINDOWS = 256
"""Closed windows in memory that the log never accounted for; with more the follower has lost its place."""


class Follower(Reading):
    """SampleReader in a process of its own. `step` follows; call it from one thread (`run` does)."""

    def __init__(self, *, path: Path, clock: Clock) -> None:
        super().__init__(self._fresh_head(), ChunkFiles(path / "head", SYSTEM_DISK), path)
        self.path = path
        self._clock = clock
        self._reader: Reader | None = None
        self._replay = self._fresh_replay(self.head)
        self._reached_s = clock.monotonic_s()

    def _fresh_head(self) -> Head:
        head = Head(lambda window: self._keep(head, window), stagger=False)
        return head

    def _fresh_replay(self, head: Head) -> Replay:
        return Replay(head, self.files, verify=False, blocks_changed=self._look_at_blocks)

    def _look_at_blocks(self) -> None:
        self.files.retire_missing()
        self.blocks.refresh()
        self.rollups.refresh()
        self.tombstones.refresh()

    @staticmethod
    def _keep(head: Head, window: Window) -> None:
        head.kept.append(window)

    def open(self) -> None:
        """Load what is there; a store that was never written is an empty one."""
        self._reload()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self.files.close()
        self.blocks.close()
        self.rollups.close()

    def lag_ms(self) -> int:
        """Time since everything written so far was known here."""
        return int((self._clock.monotonic_s() - self._reached_s) * 1000) if self.has_news() else 0

    async def run(self) -> None:
        """Follow until cancelled, in a thread of its own: the loop is not woken for it."""
        watch = FolderWatch(self.path / "wal")
        with ThreadPoolExecutor(1, "follow") as thread:
            following = asyncio.get_running_loop().run_in_executor(thread, self._follow, watch)
            try:
                await asyncio.shield(following)
            finally:
                watch.stop()
                await asyncio.wait([following])
                watch.close()

    def _follow(self, watch: FolderWatch) -> None:
        stepped_s = -_LOOK_S
        while not watch.stopped:
            told = watch.wait(_LOOK_S if self._reader is not None else _REST_S)
            now_s = self._clock.monotonic_s()
            if told:
                watch.pause(stepped_s + _REST_S - now_s)
            if told or now_s - stepped_s >= _LOOK_S or self.has_news():
                stepped_s = self._clock.monotonic_s()
                self.step()
            LAG_SECONDS.set(self.lag_ms() / 1000)

    def has_news(self) -> bool:
        """Whether a step has something to do: two questions to the disk."""
        reader, after = self._reader, self.head.segment + 1
        try:
            if reader is None or reader.size() != reader.position:
                return True
            if (self.path / "wal" / file_name(after, WAL_SUFFIX)).exists():
                return True
        except OSError:  # asked from another thread, while the reader went on to the next segment
            return True
        self._reached_s = self._clock.monotonic_s()
        return False

    def step(self) -> int:
        """Take in what was written since the last call; answers the number of records."""
        if self._reader is None or len(self.head.kept) > _KEPT_WINDOWS:
            self._reload()
            return 0
        count = 0
        while True:
            newer = [number for number, _ in numbered(self.path / "wal", WAL_SUFFIX) if number > self.head.segment]
            # With a newer segment there, this one is finished: an incomplete end will not be completed.
            count += drain(self._reader, self._replay, final=bool(newer))
            if not newer:
                break
            if newer[0] != self.head.segment + 1:
                _log.warning("the log went on without this follower; loading again", segment=self.head.segment)
                self._reload()
                return count
            self._open_segment(newer[0])
        self._reached_s = self._clock.monotonic_s()
        return count

    def _open_segment(self, number: int) -> None:
        assert self._reader is not None
        self._reader.close()
        self.head.segment = number
        self._reader = Reader(self.path / "wal" / f"{number:08d}{WAL_SUFFIX}")

    def _reload(self) -> None:
        """Build a fresh head beside the old one, then swap: queries never see a half-loaded store."""
        head = self._fresh_head()
        self._look_at_blocks()
        replay = self._fresh_replay(head)
        last: Reader | None = None
        try:
            for reader in load(head, self.files, replay, self.path):
                if last is not None:
                    drain(last, replay, final=True)
                    last.close()
                last = reader
            if last is not None:
                drain(last, replay, final=False)
        except FileNotFoundError:
            # The core dropped a segment while we were loading; the next step starts over.
            if last is not None:
                last.close()
            return
        head.find_strays()
        if self._reader is not None:
            self._reader.close()
        self.head, self._replay, self._reader = head, replay, last
        self._reached_s = self._clock.monotonic_s()
