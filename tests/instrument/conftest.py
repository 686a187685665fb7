"""The instrument package is a distribution of its own; its tests read the metrics it moved."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "instrument" / "src"))

Value = Callable[..., float]


@pytest.fixture
def value() -> Value:
    """Current value of a sample, 0 where there is none."""
    from prometheus_client import REGISTRY

    def read(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    return read
