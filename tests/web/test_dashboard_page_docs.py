"""The dashboard that the how-to shows is one."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tocsin.web.boards.board import Dashboard

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "dashboards.md"


def test_the_example_of_the_how_to_can_be_read() -> None:
    (text,) = re.findall(r"```yaml dashboard\n(.*?)```", PAGE.read_text(), re.S)
    assert Dashboard.model_validate(yaml.safe_load(text)).name == "orders"
