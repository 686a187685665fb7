"""Fixtures of the collect tests; what they hand out is in fakes.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collect.fakes import ManualClock, MemoryWriter, Pki, Servers, SteadyRandom, make_pki

from tocsin.clock import SystemClock
from tocsin.collect.network import Network


@pytest.fixture
def writer() -> MemoryWriter:
    return MemoryWriter()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def random() -> SteadyRandom:
    return SteadyRandom()


@pytest.fixture
def network() -> Network:
    return Network(clock=SystemClock())


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    running = Servers()
    yield running
    await running.stop()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))
