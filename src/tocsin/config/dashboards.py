"""Dashboards of `dashboard_files`: one file each, refused with the line that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from tocsin.config.fields import problems_of
from tocsin.errors import ConfigError, Problem
from tocsin.formats.yaml_tree import Tree, parse_yaml
from tocsin.web.boards.board import Dashboard


def read_dashboards(paths: Iterable[Path], texts: Mapping[str, str], tree: Tree) -> tuple[tuple[Dashboard, ...], list[Problem]]:
    """The dashboards and what is wrong with them; `tree` is the document that names the files."""
    boards: dict[str, Dashboard] = {}
    problems: list[Problem] = []
    place = tree.place(("dashboard_files",))
    for path in paths:
        text = texts.get(str(path))
        if text is None:
            problems.append(Problem(place, "dashboard_files", f"there is no file {path}"))
            continue
        try:
            document = parse_yaml(text, str(path))
            board = Dashboard.model_validate(document.value)
        except ConfigError as error:
            problems += error.problems
        except ValidationError as error:
            problems += problems_of(error, document)
        else:
            if board.name in boards:
                problems.append(Problem(document.place(("name",)), "name", f"another dashboard is called {board.name!r} too"))
            boards[board.name] = board
    return tuple(boards.values()), problems
