"""What the process needed for a moment does not stay with it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tocsin.app.allocator import give_back

_SIZE, _COUNT = 16_384, 2_000


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_free_pages_between_used_ones_go_back() -> None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        pytest.skip("this C library keeps free pages")
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    blocks = [libc.malloc(_SIZE) for _ in range(_COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, _SIZE)
    pins = blocks[::20]
    for block in set(blocks) - set(pins):
        libc.free(block)
    before = _resident_bytes()
    give_back()
    assert before - _resident_bytes() > _SIZE * _COUNT // 2
    for block in pins:
        libc.free(block)
