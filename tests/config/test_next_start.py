"""What counts only from the next start is said at the reload, with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config.config import Config
from tocsin.config.load import build
from tocsin.config.next_start import from_next_start
from tocsin.config.sources import read_sources


def load(folder: Path, text: str) -> Config:
    path = folder / "tocsin.yaml"
    path.write_text(text)
    return build(read_sources([path]))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("store: {retention: 10d, backlog_bytes: 5}\n", []),
        ("enable_features: [exemplar-storage]\nstorage: {exemplars: {max_exemplars: 7}}\n", []),
        ("enable_features: [promql-experimental-functions]\n", ["enable_features"]),
        ("host: {every: 30s}\nexternal_url: https://other.example\n", ["external_url", "host"]),
        ("source: {prometheus: 'http://127.0.0.1:9090'}\n", ["source"]),
    ],
)
def test_a_change_that_waits_for_the_next_start_is_a_warning(tmp_path: Path, text: str, keys: list[str]) -> None:
    started = load(tmp_path, "users: []\n")
    found = from_next_start(started, load(tmp_path, text))
    assert [problem.path for problem in found] == keys
    assert all(problem.warning and "next start" in str(problem) for problem in found)
