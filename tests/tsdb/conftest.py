"""A store on a clock that stands still until moved, and what to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tocsin.tsdb.db import Store
from tocsin.tsdb.disk import SYSTEM_DISK, Disk
from tocsin.tsdb.settings import StoreSettings

START_MS = 1_700_000_000_000


class HandClock:
    """Moves when told."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1000

    async def sleep_until_ms(self, t_ms: int) -> None:
        self.now = max(self.now, t_ms)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_store(tmp_path: Path, clock: HandClock) -> Iterator[Callable[..., Store]]:
    """Opens stores on one folder; `make_store(settings=..., disk=...)`."""
    opened: list[Store] = []

    def make(settings: StoreSettings | None = None, disk: Disk = SYSTEM_DISK) -> Store:
        store = Store(path=tmp_path / "store", settings=settings or StoreSettings(), clock=clock, disk=disk)
        store.open()
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


def plain(reader: object, start_ms: int, end_ms: int, *matchers: object) -> dict[object, list[tuple[int, int]]]:
    """Labels -> [(t_ms, bits of the value)] of everything in range; checks the shape of the answer on the way."""
    import numpy as np

    from tocsin.model.series import ABSENT_BITS

    out: dict[object, list[tuple[int, int]]] = {}
    for group in reader.select(list(matchers), start_ms, end_ms).groups:  # type: ignore[attr-defined]
        assert group.values.shape == (len(group.labels), len(group.t_ms))
        assert (np.diff(group.t_ms) > 0).all()
        bits = np.ascontiguousarray(group.values).view(np.uint64)
        for labels, row in zip(group.labels, bits, strict=True):
            assert labels not in out, f"{labels} stands in two groups"
            there = np.flatnonzero(row != ABSENT_BITS)
            assert len(there), f"{labels} has no samples in range"
            out[labels] = list(zip(group.t_ms[there].tolist(), row[there].tolist(), strict=True))
    return out


@pytest.fixture
def ask() -> Callable[..., dict[object, list[tuple[int, int]]]]:
    return plain
