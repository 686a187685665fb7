"""The store against a dictionary: random writes, restarts and housekeeping, then every answer must be equal.

The dictionary applies Prometheus's rule in its simplest form: the first value at an instant stays.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tocsin.model.labels import Labels
from tocsin.model.series import STALE_NAN, Batch
from tocsin.tsdb.db import Store
from tocsin.tsdb.follower import Follower
from tocsin.tsdb.settings import StoreSettings

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
VALUES = st.one_of(
    st.integers(-5, 300).map(float),
    st.sampled_from([0.0, -0.0, 0.25, 1e300, float("inf"), float("nan"), STALE_NAN, 2.0**53]),
)


class _Clock:
    def __init__(self) -> None:
        self.now = START_MS

    def now_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1000

    async def sleep_until_ms(self, t_ms: int) -> None:
        self.now = max(self.now, t_ms)


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.uint64)) if value == value else int(np.array([value]).view(np.uint64)[0])


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tocsin-store-"))
        self.clock = _Clock()
        self.settings = StoreSettings(block_ms=HOUR_MS, cut_delay_ms=HOUR_MS // 4, merge_delay_ms=HOUR_MS, min_free_bytes=0)
        self.store = self._open()
        self.follower = Follower(path=self.folder, clock=self.clock)
        self.follower.open()
        self.model: dict[Labels, dict[int, int]] = {}
        self.targets = [
            [Labels({"__name__": f"m{series % 3}", "target": str(target), "s": str(series)}) for series in range(4)]
            for target in range(3)
        ]

    def _open(self) -> Store:
        store = Store(path=self.folder, settings=self.settings, clock=self.clock)
        store.open()
        return store

    def _remember(self, labels: Labels, t_ms: int, value: float) -> None:
        self.model.setdefault(labels, {}).setdefault(t_ms, _bits(value))

    @rule(
        host=st.integers(0, 2), scrapes=st.integers(1, 90), interval=st.sampled_from([15_000, 60_000]),
        phase=st.sampled_from([0, 500]), first=VALUES, step=st.sampled_from([0.0, 1.0, 0.1]), missed=st.integers(2, 9),
    )  # fmt: skip
    def scrape(self, host: int, scrapes: int, interval: int, phase: int, first: float, step: float, missed: int) -> None:
        """A target is scraped for a while; some scrapes are missed."""
        labels = self.targets[host]
        base = (self.clock.now // interval + 1) * interval + phase
        for number in range(scrapes):
            t_ms = base + number * interval
            self.clock.now = t_ms
            if number % missed == 1:
                continue
            values = np.array([first + step * number * (1 + place) for place in range(len(labels))])
            if first != first:
                values = np.array([first] * len(labels))
            self.store.append_refs(self.store.refs(labels), t_ms, values, grid_ms=interval)
            for one, value in zip(labels, values, strict=True):
                self._remember(one, t_ms, value)

    @rule(
        series=st.integers(0, 3), host=st.integers(0, 2),
        samples=st.lists(st.tuples(st.integers(-200, 4), VALUES), min_size=1, max_size=12),
        unit=st.sampled_from([1000, 15_000, 60_000]),
    )  # fmt: skip
    def push(self, series: int, host: int, samples: list[tuple[int, float]], unit: int) -> None:
        """Samples at times of their own, some of them old, some twice."""
        one = self.targets[host][series]
        known = self.model.get(one, {})
        # A second, different value at an instant is refused or (once the first is on disk) wins: not asked for here.
        times = {self.clock.now // unit * unit + offset * unit: value for offset, value in samples}
        chosen = {t: v for t, v in times.items() if known.get(t, _bits(v)) == _bits(v)}
        if not chosen:
            return
        count = len(chosen)
        result = self.store.append(Batch([one] * count, np.array(list(chosen)), np.array(list(chosen.values()))))
        assert result.accepted == count, result
        for t_ms, value in chosen.items():
            self._remember(one, t_ms, value)

    @rule(minutes=st.sampled_from([1, 20, 70, 180, 900]))
    def wait(self, minutes: int) -> None:
        self.clock.now += minutes * 60_000

    @rule()
    def keep_house(self) -> None:
        self.store.maintain()

    @rule(close=st.booleans())
    def restart(self, close: bool) -> None:
        """An orderly stop, or the end of the process after a flush."""
        if close:
            self.store.close()
        else:
            self.store.flush()
            self.store.abandon()
        self.store = self._open()

    @rule()
    def follow(self) -> None:
        self.store.flush()
        self.follower.step()
        self._compare(self.follower, 0, 1 << 50)

    @rule(back=st.integers(0, 300), length=st.integers(0, 200))
    def look_at_a_part(self, back: int, length: int) -> None:
        start = self.clock.now - back * 60_000
        self._compare(self.store, start, start + length * 60_000)

    @invariant()
    def everything_is_there(self) -> None:
        if hasattr(self, "store"):
            self._compare(self.store, 0, 1 << 50)

    def _compare(self, reader: Store | Follower, start_ms: int, end_ms: int) -> None:
        expected = {}
        for labels, samples in self.model.items():
            inside = sorted((t_ms, bits) for t_ms, bits in samples.items() if start_ms <= t_ms <= end_ms)
            if inside:
                expected[labels] = inside
        found = _plain(reader, start_ms, end_ms)
        assert found.keys() == expected.keys()
        for labels, samples in expected.items():
            assert found[labels] == samples, labels

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.follower.close()
            shutil.rmtree(self.folder)


def _plain(reader: Store | Follower, start_ms: int, end_ms: int) -> dict[Labels, list[tuple[int, int]]]:
    out: dict[Labels, list[tuple[int, int]]] = {}
    for group in reader.select([], start_ms, end_ms).groups:
        bits = np.ascontiguousarray(group.values).view(np.uint64)
        for labels, row in zip(group.labels, bits, strict=True):
            assert labels not in out, f"{labels} stands in two groups"
            there = np.flatnonzero(row != 0x7FF0000000000003)
            assert len(there), f"{labels} has no samples in range"
            out[labels] = list(zip(group.t_ms[there].tolist(), row[there].tolist(), strict=True))
    return out


# Neither shrinking nor explaining: a failing run prints its steps, and a store is slow to shrink.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(
    max_examples=6, stateful_step_count=15, deadline=None, report_multiple_bugs=False, phases=PHASES
)
