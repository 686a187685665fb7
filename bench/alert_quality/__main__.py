"""python bench/alert_quality --seed 11 [--services 40] [--days 28] [--rules FILE] [--jobs 2] [--json] [--dump DIR]

Scores a rule file (the shipped one by default) on simulated services with known incidents.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

import generate
from dump import dump
from replay import replay
from score import Score

from tocsin.model.rule import RuleGroup
from tocsin.rules.rulefile import parse_rule_file

SHIPPED = Path(__file__).parents[2] / "infrastructure" / "monitoring" / "alerts.yml"
GROUPS = ("http_recording", "http", "probe")


def main() -> int:
    options = _options()
    groups = _groups(options.rules)
    total = Score()
    for seed in options.seed:
        services = range(options.services)
        with ProcessPoolExecutor(options.jobs) as pool:
            work = [(seed, index, options.services, options.days, groups, options.dump) for index in services]
            for score in pool.map(_one, work):
                total.merge(score)
    _report(total, options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="alert_quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[11])
    parser.add_argument("--services", type=int, default=40)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--rules", type=Path, default=SHIPPED)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dump", type=Path, help="also write OpenMetrics and truth here, for Prometheus and vmalert")
    parser.add_argument("--verbose", action="store_true", help="list missed and late incidents and false pages")
    return parser.parse_args()


def _groups(path: Path) -> list[RuleGroup]:
    groups, problems = parse_rule_file(path.read_text(), str(path), default_interval_ms=generate.STEP_S * 1000)
    assert not problems, problems
    return [group for group in groups if path != SHIPPED or group.name in GROUPS]


def _one(work: tuple[int, int, int, int, list[RuleGroup], Path | None]) -> Score:
    seed, index, _, days, groups, folder = work
    service = generate.one(seed, index, days)
    if folder is not None:
        dump(service, folder / f"seed{seed}")
    score = Score()
    score.add(service, replay(service, groups), days / 7)
    return score


def _report(total: Score, options: argparse.Namespace) -> None:
    summary = total.summary()
    if options.json:
        print(json.dumps({"version": generate.VERSION, "seeds": options.seed, **summary, "by_kind": total.by_kind}, indent=2))
        return
    for name, value in summary.items():
        print(f"{name:34} {value:.4g}")
    for kind, (count, caught, in_time) in sorted(total.by_kind.items()):
        print(f"  {kind:18} {count:4d} incidents, {caught:4d} caught, {in_time:4d} in time")
    if options.verbose:
        for title, lines in (("missed", total.missed), ("late", total.late), ("false pages", total.false_pages)):
            print(f"{title}:", *(f"  {line}" for line in sorted(lines)), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
