"""Blocks are written by a process of their own, so that seconds of work hold up no scrape, no rule and no page.

    core ──what to do, in pieces──▶ standard input of `python -m tocsin.tsdb.workshop <store> <parent>`
         ◀─result and damage found── standard output

The child only reads what nobody changes any more (sealed chunks, blocks, tombstones) and makes new folders in `blocks/` and
`rollups/`; the core alone writes the log that says so. It is nice, it dies with the core, and whatever it has not renamed
into place by then is swept away by the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tocsin.errors import StoreError
from tocsin.tsdb import damage
from tocsin.tsdb.block import BlockSet
from tocsin.tsdb.chunkfile import ChunkFiles
from tocsin.tsdb.disk import SYSTEM_DISK, Disk
from tocsin.tsdb.rollups import Rollups
from tocsin.tsdb.tombstones import Tombstones

_NICE = 10
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Shelf:
    """What blocks are made from and where they are put."""

    path: Path
    disk: Disk
    files: ChunkFiles
    blocks: BlockSet
    rollups: Rollups
    tombstones: Tombstones

    @classmethod
    def of(cls, path: Path) -> Shelf:
        """Of a store that somebody else has open."""
        shelf = cls(
            path,
            SYSTEM_DISK,
            ChunkFiles(path / "head", SYSTEM_DISK),
            BlockSet(path / "blocks"),
            Rollups(path / "rollups"),
            Tombstones(path),
        )
        shelf.blocks.refresh()
        shelf.rollups.refresh()
        shelf.tombstones.refresh()
        return shelf


@dataclass(frozen=True, slots=True)
class Work:
    """Heavy work on a shelf that a job of `upkeep` yields: `run` and its answer can be pickled (a function of a module, or a
    `partial` of one)."""

    run: Callable[[Shelf], Any]
    shelf: Shelf

    def __call__(self) -> Any:
        """Here and now."""
        return self.run(self.shelf)

    async def elsewhere(self) -> Any:
        """In a child. Raises what `run` raises of OSError, StoreError when the child came to its end otherwise."""
        if self.shelf.disk is not SYSTEM_DISK:
            return await asyncio.to_thread(self)  # a disk that a test made up cannot be taken along
        pieces = await asyncio.to_thread(_pickled, self.run)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tocsin.tsdb.workshop",
            str(self.shelf.path),
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            answer = await _exchanged(process, pieces)
            await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if not answer:
            raise StoreError(f"the process that writes blocks ended early (exit status {process.returncode})")
        outcome, found = pickle.loads(answer)
        for part, where, problem, fields in found:
            damage.report(part, where, problem, **fields)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def _exchanged(process: asyncio.subprocess.Process, pieces: list[bytes]) -> bytes:
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(ConnectionError):  # it ended: its answer, or none, says why
        for piece in pieces:
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()
    return await process.stdout.read()


class _Pieces:
    """A file that is a list. Its `write` is Python, so between two pieces of a large pickle other threads get their turn."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(bytes(data))
        return len(data)


def _pickled(run: Callable[[Shelf], Any]) -> list[bytes]:
    sink = _Pieces()
    pickle.Pickler(sink, protocol=5).dump(run)
    return sink.pieces


def answer(path: Path, given: BinaryIO, out: BinaryIO) -> None:
    """The child's side of one piece of work."""
    run = pickle.load(given)
    with damage.collected() as found:
        try:
            outcome = run(Shelf.of(path))
        except (OSError, StoreError) as error:
            outcome = error
    out.write(pickle.dumps((outcome, found), protocol=5))
    out.flush()


def _die_with(parent: int) -> None:
    """A child whose core is gone must not rename anything into the place of the next one."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    _die_with(int(sys.argv[2]))
    os.nice(_NICE)
    answer(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
