"""The dashboards that come with Tocsin: files of `builtin/`, the same that infrastructure/monitoring gives to Grafana."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from tocsin.web.boards.board import Dashboard

_FOLDER = Path(__file__).parent / "builtin"


@cache
def builtin() -> dict[str, Dashboard]:
    """Each by name, in the order they are listed."""
    boards = [Dashboard.model_validate(yaml.safe_load(path.read_text("utf-8"))) for path in sorted(_FOLDER.glob("*.yaml"))]
    return {board.name: board for board in boards}
