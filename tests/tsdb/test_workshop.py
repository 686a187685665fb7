"""Blocks written by a child: the same blocks, and whoever is killed when, nothing is lost and nothing is there twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tocsin.errors import StoreError
from tocsin.model.labels import Labels
from tocsin.model.series import Batch
from tocsin.tsdb import compact, upkeep
from tocsin.tsdb.block import BlockName
from tocsin.tsdb.damage import DAMAGED_RECORDS
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings
from tocsin.tsdb.workshop import Work

pytestmark = pytest.mark.process

SPAN_MS = 7_200_000
START_MS = 1_700_000_000_000 // SPAN_MS * SPAN_MS


def filled(store: Store, clock: Any, *, series: int = 40, scrapes: int = 200) -> None:
    """Scraped and pushed samples of the two hours that began at START_MS."""
    refs = store.refs([Labels({"__name__": "scraped", "n": str(n)}) for n in range(series)])
    pushed = [Labels({"__name__": "pushed", "n": str(n)}) for n in range(5)]
    for number in range(scrapes):
        clock.now = START_MS + number * 15_000
        store.append_refs(refs, clock.now, np.arange(series) * 1.5 + number, grid_ms=15_000)
        if number % 50 == 0:
            store.append(Batch(pushed, np.full(5, clock.now + 7), np.arange(5.0)))
    store.flush()
    clock.now = START_MS + 2 * SPAN_MS


async def cut(store: Store) -> None:
    end_ms = compact.cut_end_ms(store, store.now_ms())
    assert end_ms is not None
    await upkeep.drive(compact.cut(store, end_ms))


def blocks_of(store: Store) -> dict[str, bytes]:
    return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in (store.path / "blocks").rglob("*") if file.is_file()}


def test_a_child_writes_the_blocks_that_this_process_would(tmp_path: Path, clock: Any, ask: Callable[..., Any]) -> None:
    stores = []
    for name in ("child", "here"):
        store = Store(path=tmp_path / name, settings=StoreSettings(), clock=clock)
        store.open()
        filled(store, clock)
        stores.append(store)
    before = ask(stores[0], 0, 1 << 50)
    asyncio.run(cut(stores[0]))
    stores[1].maintain()
    assert blocks_of(stores[0]) == blocks_of(stores[1]) != {}
    assert ask(stores[0], 0, 1 << 50) == before
    for store in stores:
        store.close()


def test_what_goes_wrong_in_the_child_comes_back(make_store: Callable[..., Store]) -> None:
    store = make_store()
    missing = Work(partial(compact.write_merged, BlockName(9, 0, 1), [BlockName(8, 0, 1)]), store.shelf())
    with pytest.raises(FileNotFoundError, match="no such block"):
        asyncio.run(missing.elsewhere())


def test_damage_that_the_child_meets_is_counted_by_the_core(make_store: Callable[..., Store], clock: Any) -> None:
    store = make_store()
    filled(store, clock, scrapes=500)
    file = next((store.path / "head").iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    for chunks in store.head.chunks.values():
        for chunk in chunks:
            chunk.checked = False
    before = DAMAGED_RECORDS.value("head")
    asyncio.run(cut(store))
    assert DAMAGED_RECORDS.value("head") > before


def test_a_child_that_is_killed_costs_nothing(make_store: Callable[..., Store], clock: Any, ask: Callable[..., Any]) -> None:
    store = make_store()
    filled(store, clock, series=3000)
    before = ask(store, 0, 1 << 50)

    async def killed() -> None:
        job = asyncio.create_task(cut(store))
        while not (found := children(os.getpid())):
            await asyncio.sleep(0.005)
        os.kill(found[0], signal.SIGKILL)
        with pytest.raises(StoreError, match="ended early"):
            await job

    asyncio.run(killed())
    assert ask(store, 0, 1 << 50) == before
    asyncio.run(cut(store))
    assert [block.name.end_ms - block.name.start_ms for block in store.blocks.blocks] == [SPAN_MS]
    assert ask(store, 0, 1 << 50) == before


CORE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_workshop import START_MS, cut, filled
from tocsin.tsdb.db import Store
from tocsin.tsdb.settings import StoreSettings

class Clock:
    now = START_MS
    def now_ms(self): return self.now
    def monotonic_s(self): return self.now / 1000

clock = Clock()
store = Store(path=Path(sys.argv[1]), settings=StoreSettings(), clock=clock)
store.open()
filled(store, clock, series=3000)
print("filled", flush=True)
asyncio.run(cut(store))
store.flush()
print("cut", flush=True)
"""

Moment = Callable[[int, Path], bool]
MOMENTS: dict[str, Moment] = {
    "the child began": lambda pid, blocks: bool(children(pid)),
    "the child writes": lambda pid, blocks: any(blocks.glob("*.tmp/chunks")),
    "the block is in place": lambda pid, blocks: any(not path.suffix for path in blocks.iterdir()),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_core_that_is_killed_takes_the_child_with_it_and_loses_nothing(
    tmp_path: Path, clock: Any, ask: Callable[..., Any], moment: str
) -> None:
    folder = tmp_path / "store"
    command = [sys.executable, "-c", CORE, str(folder), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as core:
        assert core.stdout is not None
        assert core.stdout.readline() == "filled\n"
        deadline = time.monotonic() + 30
        while core.poll() is None and not MOMENTS[moment](core.pid, folder / "blocks") and time.monotonic() < deadline:
            time.sleep(0.001)
        orphans = children(core.pid)
        core.send_signal(signal.SIGKILL)
    while any(Path(f"/proc/{pid}/exe").exists() for pid in orphans) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in orphans), "the child outlived its core"
    whole = Store(path=tmp_path / "whole", settings=StoreSettings(), clock=clock)
    whole.open()
    filled(whole, clock, series=3000)
    store = Store(path=folder, settings=StoreSettings(), clock=clock)
    store.open()
    assert not list((folder / "blocks").glob("*.tmp"))
    assert ask(store, 0, 1 << 50) == ask(whole, 0, 1 << 50)
    store.maintain()
    assert ask(store, 0, 1 << 50) == ask(whole, 0, 1 << 50)
    store.close()
    whole.close()


def children(pid: int) -> list[int]:
    """Processes that this one began and that still run."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
