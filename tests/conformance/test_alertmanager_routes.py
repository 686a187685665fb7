"""Random routing trees and label sets: our receivers against `amtool config routes test`."""

from __future__ import annotations

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.alertmanager_peer import peer, routing_of

from tocsin.alerts.routetest import explain_route

PAIRS = int(os.environ.get("TOCSIN_PAIRS", "1000"))
LABEL_SETS = 10
NAMES = ("severity", "team", "service", "env", "a.b")
VALUES = ("critical", "warning", "db", "web", "prod", "x y", "")


def random_matcher(rng: random.Random) -> str:
    name, value = rng.choice(NAMES), rng.choice(VALUES)
    op = rng.choice(["=", "!=", "=~", "!~"])
    if op in ("=~", "!~"):
        value = rng.choice([value, "crit.*|warn.*", ".+", ".*", "[dw].*", "(?i)PROD", ""])
    quoted = '"' + value + '"'
    return (f'"{name}"' if "." in name else name) + op + quoted


def random_route(rng: random.Random, depth: int) -> dict[str, Any]:
    route: dict[str, Any] = {"matchers": [random_matcher(rng) for _ in range(rng.randint(0 if depth else 1, 2))]}
    if rng.random() < 0.2:
        route["match"] = {rng.choice(NAMES[:4]): rng.choice(VALUES)}
    if rng.random() < 0.2:
        route["match_re"] = {rng.choice(NAMES[:4]): rng.choice(["crit.*", "db|web", ".*"])}
    if rng.random() < 0.7:
        route["receiver"] = f"r{rng.randint(0, 5)}"
    if rng.random() < 0.4:
        route["continue"] = True
    if depth < 3:
        route["routes"] = [random_route(rng, depth + 1) for _ in range(rng.choice([0, 0, 1, 2, 3]))]
    return route


def random_config(rng: random.Random) -> str:
    root = {"receiver": "r0", "routes": [random_route(rng, 0) for _ in range(rng.randint(1, 5))]}
    return yaml.safe_dump({"route": root, "receivers": [{"name": f"r{n}"} for n in range(6)]})


def random_labels(rng: random.Random) -> dict[str, str]:
    # amtool's own argument grammar reads `a.b=..`, so any name of ours can be asked for.
    return {name: rng.choice(VALUES[:6]) for name in rng.sample(NAMES, rng.randint(1, 4))}


@pytest.mark.peer
def test_receivers_equal_amtool(tmp_path: Path) -> None:
    amtool = peer("amtool")
    rng = random.Random(20261122)
    jobs: list[tuple[Path, str, dict[str, str]]] = []
    for number in range(max(PAIRS // LABEL_SETS, 1)):
        text = random_config(rng)
        file = tmp_path / f"{number}.yml"
        file.write_text(text)
        jobs += [(file, text, random_labels(rng)) for _ in range(LABEL_SETS)]

    def ask(job: tuple[Path, str, dict[str, str]]) -> str:
        file, _, labels = job
        pairs = [f'{name}="{value}"' for name, value in labels.items()]
        done = subprocess.run(
            [amtool, "config", "routes", "test", f"--config.file={file}", *pairs], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, jobs))
    wrong = []
    for (_, text, labels), theirs in zip(jobs, answers, strict=True):
        mine = ",".join(explain_route(routing_of(text), labels, now_ms=0).receivers)
        if mine != theirs:
            wrong.append((labels, mine, theirs, text))
    assert not wrong, f"{len(wrong)} of {len(jobs)} differ, first: {wrong[0]}"
