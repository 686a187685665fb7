"""Random queries over random data: the real Prometheus and our engine give the same."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests.conformance.promql_compare import FLAGS, Comparison
from tests.conformance.promql_peer import prometheus
from tests.conformance.promql_random import all_names

QUERIES = int(os.environ.get("TOCSIN_DIFFERENTIAL_QUERIES", "9000"))
SEED = int(os.environ.get("TOCSIN_DIFFERENTIAL_SEED", "20260101"))


@pytest.mark.peer
@pytest.mark.slow
def test_random_queries_have_the_answers_of_prometheus(tmp_path: Path) -> None:
    with prometheus(tmp_path, FLAGS) as client:
        comparison = Comparison(client, random.Random(SEED))
        comparison.go(QUERIES)
    print(comparison.summary())
    shown = "\n".join(map(str, comparison.differences[:10]))
    assert len(comparison.differences) <= 0.001 * comparison.asked, f"{comparison.summary()}\n{shown}"
    assert comparison.failing + comparison.empty <= 0.2 * comparison.asked, comparison.summary()
    if QUERIES >= 9000:
        rare = [name for name in all_names() if comparison.maker.used[name] < 100]
        assert not rare, f"used less than 100 times: {rare}"
