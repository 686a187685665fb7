"""The follower sleeps until the log grows, and takes in what was written without being asked."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from tocsin.clock import SystemClock
from tocsin.model.labels import Labels
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings
from tocsin.tsdb.watch import FolderWatch

_LONG_S = 30.0


@pytest.fixture(params=["told by the kernel", "looking"])
def sight(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "looking":
        monkeypatch.setattr(FolderWatch, "_begin", lambda _self: False)
    return str(request.param)


async def test_what_is_written_is_known_without_a_question(tmp_path: Path, sight: str) -> None:
    clock = SystemClock()
    follower = Follower(path=tmp_path / "store", clock=clock)
    following = asyncio.create_task(follower.run())  # before there is a store
    await asyncio.sleep(0)
    store = Store(path=tmp_path / "store", settings=StoreSettings(), clock=clock)
    store.open()
    refs = store.refs([Labels({"__name__": "m"})])
    async with asyncio.timeout(_LONG_S):
        for number in range(3):
            store.append_refs(refs, clock.now_ms() - number, np.array([float(number)]))
            store.flush()
            while follower.has_news():
                await asyncio.sleep(0.01)
            assert follower.head.loose.sample_count == number + 1
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("follow")]
    follower.close()
    store.close()


async def test_a_mistake_in_following_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(path=tmp_path, clock=SystemClock())

    def fails() -> int:
        raise ValueError("torn")

    monkeypatch.setattr(follower, "step", fails)
    with pytest.raises(ValueError, match="torn"):
        await asyncio.wait_for(follower.run(), _LONG_S)


def test_a_watch_tells_of_writes_and_finds_a_folder_that_was_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "wal"
    watch = FolderWatch(folder)
    assert not watch.wait(0.01)
    for _ in range(2):
        folder.mkdir()
        assert watch.wait(_LONG_S)
        (folder / "1").write_bytes(b"x")
        assert watch.wait(_LONG_S)
        (folder / "1").unlink()
        folder.rmdir()
        while watch.wait(0.2):
            pass
    watch.stop()
    assert not watch.wait(_LONG_S)
    watch.pause(_LONG_S)
    watch.close()
