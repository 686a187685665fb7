"""The shipped Grafana dashboards: what the script writes, and every query is PromQL over documented metrics."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tocsin.promql.parser import parse

FOLDER = Path(__file__).parents[2] / "infrastructure" / "monitoring"
FILES = sorted((FOLDER / "grafana-dashboards").glob("*.json"))


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dashboards", FOLDER / "dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_script_writes() -> None:
    module = script()
    texts = module.texts()
    assert {path.stem for path in FILES} == set(texts)
    for path in FILES:
        assert path.read_text() == texts[path.stem], f"run python infrastructure/monitoring/dashboards.py ({path.name} differs)"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dashboard_is_complete(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["schemaVersion"] == 41
    assert board["uid"] == f"tocsin-{path.stem}"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert 0 <= panel["gridPos"]["x"] <= 24 - panel["gridPos"]["w"]
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
        used = set(re.findall(r"\$(\w+)", " ".join(target["expr"] for target in panel.get("targets", []))))
        assert used - {"__rate_interval"} <= {variable["name"] for variable in board["templating"]["list"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_two_panels_overlap(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies over {taken[x, y]}"
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_expression_parses(path: Path) -> None:
    board = json.loads(path.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    expressions += [one["expr"] for one in board["annotations"]["list"]]
    for variable in board["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
        assert found is not None
        expressions.append(found.group(1))
    assert expressions
    for expression in expressions:
        parse(expression.replace("$__rate_interval", "1m"))
