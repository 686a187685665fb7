"""Deleting series and cleaning up after it, as jobs of the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import orjson

from tocsin.errors import StoreError
from tocsin.log import get_log
from tocsin.model.labels import Matcher
from tocsin.model.series import Int64
from tocsin.tsdb import catalogue
from tocsin.tsdb.block import Block, BlockName, BlockSet
from tocsin.tsdb.build import Source, build
from tocsin.tsdb.compact import DAY_MS, read_blocks, span_columns
from tocsin.tsdb.records import Kind
from tocsin.tsdb.tombstones import Tombstone
from tocsin.tsdb.upkeep import Job, breathe, seal_loose
from tocsin.tsdb.workshop import Shelf, Work

if TYPE_CHECKING:
    from tocsin.tsdb.db import Store

_log = get_log("tsdb")


def delete(store: Store, sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> Job:
    """Delete what the store has now within [start, end] of the series that pass one of the matcher lists.

    Everything open is sealed first, so that the tombstone can say which files it is for. Raises StoreError, OSError.
    """
    end_ms = min(end_ms, store.now_ms())
    for grid in list(store.head.grids.values()):
        for block in range(grid.block_count):
            with store.head.lock:
                store.head.close_window(grid, block)
            yield breathe
    yield from seal_loose(store)
    if store.head.kept:
        raise StoreError("nothing can be deleted while the disk does not take what is open; make room first")
    store.files.start_file()
    store.flush()
    yield store.sync_log

    def write() -> int:
        ids = _ids(store, sets, start_ms, end_ms)
        if len(ids):
            one = Tombstone(start_ms, end_ms, store.next_sequence(), store.files.number, ids)
            store.tombstones.write([*store.tombstones.listed, one], store.disk)
        return len(ids)

    count = yield write
    announce(store)
    _log.info("series deleted", series=count, start_ms=start_ms, end_ms=end_ms)


def _ids(store: Store, sets: Sequence[Sequence[Matcher]], start_ms: int, end_ms: int) -> Int64:
    parts = [index.ids[slots].astype(np.int64) for index, slots in store.present(sets, start_ms, end_ms)]
    return np.unique(np.concatenate([*parts, np.empty(0, np.int64)]))


def announce(store: Store) -> None:
    """Tell followers to look at blocks and tombstones again."""
    store.log(Kind.CUT, orjson.dumps({"cut_ms": int(store.head.cut_ms), "consumed": [], "kept": []}))
    store.flush()


def clean(store: Store) -> Job:
    """Write every block anew that holds deleted samples. Those in the head go with its next cut. Raises OSError."""
    raw_from = min((block.name.start_ms for block in store.blocks.blocks), default=None)
    yield from _clean_set(store, store.blocks, 1, {"level": 2})
    for (resolution, aggregate), blocks in store.rollups.sets.items():
        facts = {"resolution_ms": resolution, "aggregate": aggregate}
        # A day whose raw samples are still there gets new rollups from the new block.
        yield from _clean_set(store, blocks, resolution, facts, before_ms=raw_from)


def _clean_set(store: Store, blocks: BlockSet, resolution_ms: int, facts: dict[str, object], before_ms: int | None = None) -> Job:
    for block in list(blocks.blocks):
        if before_ms is not None and block.name.end_ms > before_ms:
            continue
        tombstones = [one for one in store.tombstones.of_block(block, resolution_ms=resolution_ms) if _touches(one, block)]
        if tombstones:
            name = BlockName(store.next_sequence(), block.name.start_ms, block.name.end_ms)
            which = None if blocks is store.blocks else (resolution_ms, str(facts["aggregate"]))
            yield Work(partial(rewrite, block.name, name, which, facts), store.shelf())
            blocks.refresh()
            announce(store)
            store.merged.add(block.name)
            store.later(partial(_remove, store, blocks, block))


def _touches(tombstone: Tombstone, block: Block) -> bool:
    return bool(tombstone.holds(block.index.ids.astype(np.int64)).any())


def rewrite(old: BlockName, new: BlockName, which: tuple[int, str] | None, facts: dict[str, object], shelf: Shelf) -> None:
    """A block without its deleted samples. `which` = resolution and aggregate of a rollup; None = raw. Raises OSError."""
    blocks = shelf.blocks if which is None else shelf.rollups.sets[which]
    block, resolution_ms = blocks.named(old), 1 if which is None else which[0]
    read = read_blocks([block], old.start_ms, old.end_ms, shelf.tombstones, resolution_ms=resolution_ms)
    columns = max(span_columns(block) * (old.end_ms - old.start_ms) // DAY_MS, 1)
    build(blocks.folder, new, Source(catalogue.capture(block.index).build(), read, columns), shelf.disk, facts)


def _remove(store: Store, blocks: BlockSet, block: Block) -> None:
    blocks.remove([block])
    store.merged.discard(block.name)
    store.tombstones_due = True
    announce(store)


def forget_obsolete(store: Store) -> Job:
    """Drop tombstones that have nothing left to hide. Raises OSError."""

    def write() -> bool:
        kept = [one for one in store.tombstones.listed if any(_held(store, one))]
        if len(kept) == len(store.tombstones.listed):
            return False
        store.tombstones.write(kept, store.disk)
        return True

    if (yield write):
        announce(store)


def _held(store: Store, one: Tombstone) -> Iterator[bool]:
    """Whether a head file or block may still hold what it deletes, place by place."""
    yield any(number < one.file for number in store.head.chunk_files())
    for resolution, blocks in [(1, store.blocks), *((key[0], each) for key, each in store.rollups.sets.items())]:
        wide = one.widened(resolution)
        yield any(wide.of_block(block) and _touches(wide, block) for block in blocks.blocks)
