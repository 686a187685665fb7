"""Decoded chunks in memory, least recently used first out."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

Key = tuple[str, int]
"""The file or folder of a chunk, and its position there."""
_BYTES = 64 << 20


class Cache:
    """Thread-safe. What is in here is shared between readers: never written to."""

    def __init__(self, limit_bytes: int = _BYTES) -> None:
        self._limit = limit_bytes
        self._bytes = 0
        self._entries: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Any:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Key, value: Any, size: int) -> None:
        with self._lock:
            if key in self._entries or size > self._limit // 4:
                return
            self._entries[key] = (value, size)
            self._bytes += size
            while self._bytes > self._limit:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped
