"""The same rules on the same data inside the real Prometheus: its own engine, rule manager and TSDB, driven by promtool.

promtool does not print what fired. So the intervals that our replay found are put to it as questions: at the first and the last
evaluation of each interval and at their neighbours, how many alerts fire; and at the end, how many evaluations in all had one
firing. Where every answer is the expected one, the intervals are Prometheus's own, and so is the score made of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from generate import STEP_S, Service
from replay import Fired, series_of

from tocsin.model.series import Float64, is_absent, is_stale


def promtool() -> Path:
    """Where the peers are installed. Raises FileNotFoundError."""
    path = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / "promtool"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: set TOCSIN_PEERS to the folder whose bin/ holds promtool")
    return path


def disagreement(service: Service, rules: Path, fired: Sequence[Fired]) -> str:
    """What promtool answers otherwise; empty = Prometheus fires exactly in these intervals."""
    test = {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": str(labels), "values": _notation(values)} for labels, values in series_of(service)],
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{at_s}s", "exp_samples": [{"labels": "{}", "value": expected}]}
            for expr, at_s, expected in _questions(fired, service.up.size)
        ],
    }
    document = {"rule_files": [str(rules.resolve())], "evaluation_interval": f"{STEP_S}s", "tests": [test]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.yml"
        path.write_text(json.dumps(document))
        done = subprocess.run([str(promtool()), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def _notation(values: Float64) -> str:
    """promtool's series notation: runs of one value as `vxN`, a lost scrape as `stale`, nothing as `_`."""
    words = np.array([f"{value:.17g}" for value in values.tolist()], dtype=object)
    words[is_absent(values)] = "_"
    words[is_stale(values)] = "stale"
    starts = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1]]))
    lengths = np.diff(np.concatenate([starts, [words.size]]))
    return " ".join(_run(str(words[start]), int(length)) for start, length in zip(starts, lengths, strict=True))


def _run(word: str, length: int) -> str:
    if word == "_":
        return f"_x{length}"
    if word == "stale":
        return " ".join(["stale"] * length)
    return f"{word}x{length - 1}" if length > 1 else word


def _questions(fired: Iterable[Fired], evaluations: int) -> Iterator[tuple[str, int, int]]:
    """(expression, second, answer)."""
    by_name: dict[str, list[Fired]] = defaultdict(list)
    for one in fired:
        by_name[one.alert].append(one)
    last_s = (evaluations - 1) * STEP_S
    yield f'sum(count_over_time(ALERTS{{alertstate="firing"}}[{last_s + STEP_S}s])) or vector(0)', last_s, _samples(fired)
    for name, intervals in by_name.items():
        selector = f'ALERTS{{alertstate="firing",alertname="{name}"}}'
        yield f"sum(count_over_time({selector}[{last_s + STEP_S}s])) or vector(0)", last_s, _samples(intervals)
        edges = {at_s for one in intervals for edge in (one.start_s, one.end_s) for at_s in (edge - STEP_S, edge)}
        for at_s in sorted(at_s for at_s in edges if 0 <= at_s <= last_s):
            yield f"count({selector}) or vector(0)", at_s, sum(one.start_s <= at_s < one.end_s for one in intervals)


def _samples(intervals: Iterable[Fired]) -> int:
    return sum((one.end_s - one.start_s) // STEP_S for one in intervals)
