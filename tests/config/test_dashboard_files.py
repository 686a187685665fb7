"""`dashboard_files`: dashboards of the reader's own, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.config.load import build
from tocsin.config.sources import read_sources
from tocsin.errors import ConfigError

GOOD = """\
name: shop
title: The shop
sections:
  - title: All
    panels:
      - title: Orders
        queries: {"{{service}}": 'sum by (service) (rate(payments_total[5m]))'}
"""


def load(folder: Path, *texts: str):
    (folder / "boards").mkdir()
    for number, text in enumerate(texts):
        (folder / "boards" / f"{number}.yaml").write_text(text)
    (folder / "tocsin.yaml").write_text("dashboard_files: ['boards/*.yaml']\n")
    return build(read_sources([folder / "tocsin.yaml"]))


def test_a_dashboard_of_a_file_is_there_and_its_file_is_watched(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert [board.title for board in config.dashboards] == ["The shop"]
    assert tmp_path / "boards" / "0.yaml" in config.watched


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([GOOD.replace("5m", "5 apples")], "0.yaml:7"),
        ([GOOD.replace("title: Orders", "titel: Orders")], "0.yaml:6"),
        ([GOOD, GOOD], "another dashboard is called 'shop' too"),
    ],
)
def test_what_is_wrong_in_a_dashboard_is_said_with_its_line(tmp_path: Path, texts: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, *texts)
    assert any(expected in f"{problem.place} {problem.message}" for problem in error.value.problems), error.value.problems


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("dashboard_files: [shop.yaml]\n")
    with pytest.raises(ConfigError, match=r"there is no file .*shop\.yaml"):
        build(read_sources([tmp_path / "tocsin.yaml"]))
