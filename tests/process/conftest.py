"""Fixtures for tests of the real program."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    """Modules beside this file; test folders are not packages."""
    full = f"tocsin_process_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


harness = _load("harness")
servers = _load("servers")


@pytest.fixture
def tocsin(tmp_path: Path) -> Iterator[object]:
    program = harness.Tocsin(tmp_path / "t")
    yield program
    if program.process is not None:
        program.kill_all()


@pytest.fixture
def service() -> Iterator[object]:
    running = servers.Service(harness.free_port())
    yield running
    running.stop()


@pytest.fixture
def mail() -> Iterator[object]:
    running = servers.Mail(harness.free_port())
    yield running
    running.stop()


@pytest.fixture
def chat() -> Iterator[object]:
    running = servers.Chat(harness.free_port())
    yield running
    running.stop()
