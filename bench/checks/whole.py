"""2,000 HTTP checks a minute by the whole program while its core evaluates 1,000 rules.

    PYTHONPATH=src python bench/checks/whole.py --checks 2000 --rules 1000 --seconds 60

Starts `tocsin serve` with its own data directory and reads what it says of itself; latencies are compared with those of an
independent client (raw sockets) asking the same server in the same minute.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from rate import HERE, ask_once, free_port, quantile

_SETTLE_S = 60.0
"""The first runs come together, on purpose; then every check has its own place within the minute."""

_ASK_EVERY_S = 0.08
"""With what an answer takes some ten a second: enough for a 95th percentile that another minute would repeat."""


def configuration(folder: Path, port: int, checks: int, rules: int) -> None:
    """tocsin.yaml and its rule file."""
    entries = [f"  - {{name: c{i}, http: 'http://127.0.0.1:{port}/{i}', every: 60s, alert: false}}" for i in range(checks)]
    (folder / "tocsin.yaml").write_text("\n".join(["rule_files: [rules.yml]", "checks:", *entries]) + "\n")
    query = "avg_over_time(probe_duration_seconds{{check=~'c{0}.'}}[2m]) > 5"
    groups = []
    for first in range(0, rules, 50):
        alerts = [
            f'      - {{alert: Slow{i}, expr: "{query.format(i % 200)}", for: 1m}}' for i in range(first, min(first + 50, rules))
        ]
        groups += [f"  - name: load-{first}", "    interval: 15s", "    rules:", *alerts]
    (folder / "rules.yml").write_text("\n".join(["groups:", *groups]) + "\n")


class Program:
    """`tocsin serve` and its Prometheus API on loopback."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "tocsin", "serve", "--config", "tocsin.yaml", "--data-dir", str(folder / "data")]
        self.process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{self.port}"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "is ready at" in line:
                return
        raise SystemExit("tocsin did not start")

    def value(self, query: str) -> float:
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            rows: list[Any] = json.loads(answer.read())["data"]["result"]
        return float(rows[0]["value"][1]) if rows else float("nan")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()


def measure(program: Program, target: int, seconds: float) -> None:
    time.sleep(_SETTLE_S)
    independent: list[float] = []
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        time.sleep(_ASK_EVERY_S)
        independent.append(ask_once(target))
    over = f"{round(seconds)}s"
    lag = "histogram_quantile({}, rate(tocsin_collect_check_start_lag_seconds_bucket[{}]))"
    runs = program.value(f"sum(increase(tocsin_collect_check_runs_total[{over}]))")
    cpu = {name: program.value(f"rate(process_cpu_seconds_total{{process='{name}'}}[{over}])") for name in ("probe", "core")}
    print(f"runs           {runs:.0f} in {over}, good {program.value('sum(probe_success)'):.0f}")
    print(f"start lag ms   p99 {program.value(lag.format(0.99, over)) * 1000:.1f}   (goal <= 1000)")
    ours = [program.value(f"quantile({q}, probe_duration_seconds)") * 1000 for q in (0.5, 0.95)]
    theirs = [quantile(independent, q) for q in (0.5, 0.95)]
    print(f"latency ms     p50 {ours[0]:.2f}  p95 {ours[1]:.2f}")
    print(f"independent ms p50 {theirs[0]:.2f}  p95 {theirs[1]:.2f}   ({len(independent)} requests in the same minute)")
    held = all(abs(a - b) <= max(2.0, 0.05 * b) for a, b in zip(ours, theirs, strict=True))
    print(f"               {'within' if held else 'NOT within'} 2 ms or 5 % of the independent client's, p50 and p95")
    probe, core = cpu["probe"] * 100, cpu["core"] * 100
    each_ms = probe * 10 * seconds / max(runs, 1)
    print(f"CPU            probe {probe:.1f} % of a core ({each_ms:.3f} ms per check), core {core:.1f} %")
    lag_s = program.value(f"max_over_time(tocsin_rule_evaluation_lag_seconds[{over}])")
    groups = program.value(f"sum(increase(tocsin_rule_evaluation_duration_seconds_count[{over}]))")
    print(f"rules          {groups:.0f} group evaluations, begun at most {lag_s * 1000:.0f} ms late")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--checks", type=int, default=2000)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--delay-ms", type=float, default=20)
    options = parser.parse_args()
    target = subprocess.Popen(
        [sys.executable, str(HERE / "target.py"), "--delay-ms", str(options.delay_ms)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert target.stdout is not None
        port = int(target.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            configuration(Path(folder), port, options.checks, options.rules)
            program = Program(Path(folder))
            try:
                program.wait()
                measure(program, port, options.seconds)
            finally:
                program.stop()
    finally:
        target.terminate()
        target.wait()


if __name__ == "__main__":
    main()
