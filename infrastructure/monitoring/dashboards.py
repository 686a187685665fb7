"""Writes grafana-dashboards/*.json: python infrastructure/monitoring/dashboards.py

They are Tocsin's own dashboards (src/tocsin/web/boards/builtin/*.yaml) in Grafana's classic model, as
/api/tocsin/v1/dashboards/{name}/grafana.json gives them. tests/infrastructure keeps the files equal to their source.
"""

from __future__ import annotations

from pathlib import Path

from tocsin.web.boards.builtin import builtin
from tocsin.web.boards.grafana import grafana_json

FOLDER = Path(__file__).parent / "grafana-dashboards"


def texts() -> dict[str, str]:
    """What each file holds, by name without `.json`."""
    return {name: grafana_json(board) for name, board in builtin().items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / f"{name}.json").write_text(text)
