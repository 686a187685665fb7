"""A folder whose changes wake a thread: the kernel tells (inotify); where it cannot, somebody has to look again and again."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_IGNORED = 0x2, 0x80, 0x100, 0x8000
_EVENT = struct.Struct("=iIII")
_BLIND_LOOK_S = 0.1
"""Without the kernel's help."""


class FolderWatch:
    """Call `wait` from one thread, `stop` from any."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fsencode(folder)
        self._stop_read, self._stop_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(self._libc, "inotify_init1") else -1
        self._watching = False
        self.stopped = False

    def wait(self, timeout_s: float) -> bool:
        """True once something was written into the folder since the last call; False after a while, or when stopped.

        The while is `timeout_s`, or much less where nobody tells of changes: then the caller has to look.
        """
        fresh = not self._watching
        if not self._begin():
            self.pause(min(timeout_s, _BLIND_LOOK_S))
            return False
        if fresh:
            return True  # what happened before the watch began went unseen
        if self._fd not in self._ready([self._fd, self._stop_read], timeout_s):
            return False
        self._take()
        return True

    def pause(self, seconds: float) -> None:
        """Return after so long, or when stopped."""
        if seconds > 0:
            self._ready([self._stop_read], seconds)

    def stop(self) -> None:
        """`wait` and `pause` return at once from now on."""
        self.stopped = True
        os.write(self._stop_write, b"x")

    def close(self) -> None:
        for fd in (self._fd, self._stop_read, self._stop_write):
            if fd >= 0:
                os.close(fd)

    def _begin(self) -> bool:
        """Whether the kernel watches; a folder that is not there yet is tried again."""
        if not self._watching and self._fd >= 0:
            self._watching = self._libc.inotify_add_watch(self._fd, self._folder, _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE) >= 0
        return self._watching

    @staticmethod
    def _ready(fds: list[int], timeout_s: float) -> list[int]:
        poll = select.poll()
        for fd in fds:
            poll.register(fd, select.POLLIN)
        return [fd for fd, _ in poll.poll(timeout_s * 1000)]

    def _take(self) -> None:
        """Read what the kernel told; a folder that went away is looked for again."""
        data, at = os.read(self._fd, 65536), 0
        while at < len(data):
            _, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            if mask & _IN_IGNORED:
                self._watching = False
