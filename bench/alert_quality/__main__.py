"""python bench/alert_quality --seed 11 [--services 40] [--days 28] [--rules FILE] [--against FILE...] [--peer N] [--json]

Scores a rule file (the shipped one by default) on simulated services with known incidents. `--against` scores further files on
the same data, with Prometheus's semantics; `--peer N` asks the real Prometheus (promtool) about the first N services of each seed
that have an incident, and fails where it fires at any other moment than we said.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

import generate
import peer
from dump import dump
from replay import replay
from score import Score

from tocsin.model.rule import AlertRule, RuleGroup, Semantics
from tocsin.rules.rulefile import parse_rule_file

SHIPPED = Path(__file__).parents[2] / "infrastructure" / "monitoring" / "alerts.yml"
GROUPS = ("http_recording", "http", "probe")


@dataclass(frozen=True, slots=True)
class Work:
    """One service to be scored on every rule set."""

    seed: int
    index: int
    days: int
    sets: Sequence[Sequence[RuleGroup]]
    dump: Path | None
    asked: Sequence[Path]
    """Rule files about which the real Prometheus is asked."""
    lost: float


def main() -> int:
    options = _options()
    sets = [_groups(options.rules), *(_as_prometheus(_groups(path)) for path in options.against)]
    totals = [Score() for _ in sets]
    differences: list[str] = []
    asked = 0
    for seed in options.seed:
        with ProcessPoolExecutor(options.jobs) as pool:
            peers = _with_incidents(seed, options) if options.peer else set()
            asked += len(peers)
            work = [
                Work(seed, index, options.days, sets, options.dump, options.against if index in peers else (), options.lose)
                for index in range(options.services)
            ]
            for scores, found in pool.map(_one, work):
                differences += found
                for total, score in zip(totals, scores, strict=True):
                    total.merge(score)
    _report(totals, options)
    if options.peer:
        print(f"asked the real Prometheus about {asked} services: {len(differences)} differ", *differences, sep="\n")
    return 1 if differences else 0


def _with_incidents(seed: int, options: argparse.Namespace) -> set[int]:
    found = (index for index in range(options.services) if generate.one(seed, index, options.days).incidents)
    return set(itertools.islice(found, options.peer))


def _as_prometheus(groups: Sequence[RuleGroup]) -> list[RuleGroup]:
    return [
        replace(
            group,
            rules=tuple(replace(rule, semantics=Semantics.PROMETHEUS) for rule in group.rules if isinstance(rule, AlertRule)),
        )
        for group in groups
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="alert_quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, nargs="+", default=[11])
    parser.add_argument("--services", type=int, default=40)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--rules", type=Path, default=SHIPPED)
    parser.add_argument("--against", type=Path, nargs="*", default=[])
    parser.add_argument("--lose", type=float, default=0.0, help="share of all samples that never arrive, such as 0.2")
    parser.add_argument("--peer", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dump", type=Path, help="also write OpenMetrics and truth here, for Prometheus and vmalert")
    parser.add_argument("--verbose", action="store_true", help="list missed and late incidents and false pages")
    return parser.parse_args()


def _groups(path: Path) -> list[RuleGroup]:
    groups, problems = parse_rule_file(path.read_text(), str(path), default_interval_ms=generate.STEP_S * 1000)
    assert not problems, problems
    return [group for group in groups if path != SHIPPED or group.name in GROUPS]


def _one(work: Work) -> tuple[list[Score], list[str]]:
    service = generate.one(work.seed, work.index, work.days)
    if work.dump is not None:
        dump(service, work.dump / f"seed{work.seed}")
    scores, differences = [], []
    for groups, path in zip(work.sets, (None, *work.asked) if work.asked else itertools.repeat(None), strict=False):
        fired = replay(service, groups, lost=work.lost)
        score = Score()
        score.add(service, fired, work.days / 7)
        scores.append(score)
        if path is not None and (wrong := peer.disagreement(service, path, fired)):
            differences.append(f"seed {work.seed}, {service.name}, {path.name}: {wrong}")
    return scores, differences


def _report(totals: Sequence[Score], options: argparse.Namespace) -> None:
    names = [options.rules.stem, *(path.stem for path in options.against)]
    summaries = {name: total.summary() for name, total in zip(names, totals, strict=True)}
    own = totals[0]
    if options.json:
        others = {name: summaries[name] for name in names[1:]}
        about = {"version": generate.VERSION, "seeds": options.seed}
        print(json.dumps({**about, **summaries[names[0]], "by_kind": own.by_kind, "against": others}, indent=2))
        return
    print(f"{'':34}", *(f"{name:>10}" for name in names))
    for name in summaries[names[0]]:
        print(f"{name:34}", *(f"{summaries[column][name]:10.4g}" for column in names))
    for kind in sorted(own.by_kind):
        count = own.by_kind[kind][0]
        print(
            f"  {kind:18} {count:4d} incidents, caught and in time: ",
            *("{1}/{2}".format(*t.by_kind[kind]).rjust(8) for t in totals),
        )
    if options.verbose:
        for title, lines in (("missed", own.missed), ("late", own.late), ("false pages", own.false_pages)):
            print(f"{title}:", *(f"  {line}" for line in sorted(lines)), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
