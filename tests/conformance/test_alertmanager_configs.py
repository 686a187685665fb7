"""Alertmanager's own good and bad configurations get amtool's verdict."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.conformance.alertmanager_peer import peer, shared_data

from tocsin.config.alertmanager import build_routing, read_alertmanager
from tocsin.errors import ConfigError, Problem
from tocsin.formats.yaml_tree import parse_yaml


def problems_of(path: Path) -> list[Problem]:
    try:
        tree = parse_yaml(path.read_text(), path.name)
        config, problems = read_alertmanager(tree.value, tree)
    except ConfigError as error:
        return error.problems
    if config is not None and not problems:
        build_routing(config, tree, read_file=lambda name: "secret")
    return problems


@pytest.mark.peer
def test_verdicts_equal_amtool() -> None:
    amtool = peer("amtool")
    files = sorted(shared_data("alertmanager-config").glob("*.yml"))
    assert len(files) >= 40
    wrong = []
    for file in files:
        done = subprocess.run([amtool, "check-config", str(file)], capture_output=True, text=True, check=False)
        problems = problems_of(file)
        if (done.returncode == 0) != (not problems):
            wrong.append((file.name, [str(p) for p in problems], done.stdout + done.stderr))
        assert all(problem.place.file == file.name and problem.place.line for problem in problems), file.name
    assert not wrong, wrong
