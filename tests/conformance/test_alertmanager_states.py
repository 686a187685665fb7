"""Random inhibition rules, silences and alerts: the states in /api/v2/alerts equal the real Alertmanager's."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.alertmanager_peer import our_api, real_alertmanager, routing_of

from tocsin.model.labels import Labels, all_match
from tocsin.model.route import InhibitRule

SETS = int(os.environ.get("TOCSIN_STATE_SETS", "300"))
NAMES = ("severity", "service", "env")
VALUES = ("critical", "warning", "info", "x", "y")


def side(rng: random.Random, run: int) -> list[str]:
    out = [f'run="{run}"']
    for _ in range(rng.randint(1, 2)):
        op = rng.choice(["=", "!=", "=~", "!~"])
        value = rng.choice(VALUES) if op in ("=", "!=") else rng.choice(["crit.*|x", "warning|info", ".+", "y?"])
        out.append(f'{rng.choice(NAMES)}{op}"{value}"')
    return out


def alert(rng: random.Random, run: int, number: int) -> dict[str, Any]:
    labels = {name: rng.choice(VALUES) for name in NAMES if rng.random() < 0.8}
    return {"labels": {"alertname": f"A{number}", "run": str(run), **labels}}


def silence(rng: random.Random, run: int, number: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    matchers = [{"name": "run", "value": str(run), "isRegex": False, "isEqual": True}]
    for _ in range(rng.randint(1, 2)):
        regex = rng.random() < 0.4
        value = rng.choice(["crit.*", "x|y", ".*g"]) if regex else rng.choice(VALUES)
        matchers.append({"name": rng.choice(NAMES), "value": value, "isRegex": regex, "isEqual": rng.random() < 0.7})
    starts = now if rng.random() < 0.8 else now + timedelta(hours=1)
    return {
        "matchers": matchers,
        "startsAt": starts.isoformat(),
        "endsAt": (now + timedelta(hours=2)).isoformat(),
        "createdBy": "test",
        "comment": f"{run}-{number}",
    }


@pytest.mark.peer
def test_states_are_equal(tmp_path: Path) -> None:
    rng = random.Random(42)
    rules, alerts, silences = [], [], []
    for run in range(SETS):
        for _ in range(rng.randint(1, 3)):
            rules.append(
                {
                    "source_matchers": side(rng, run),
                    "target_matchers": side(rng, run),
                    "equal": rng.sample(("service", "env"), rng.randint(0, 2)),
                }
            )
        alerts += [alert(rng, run, number) for number in range(rng.randint(2, 8))]
        silences += [silence(rng, run, number) for number in range(rng.randint(0, 2))]
    config = yaml.safe_dump({"route": {"receiver": "r"}, "receivers": [{"name": "r"}], "inhibit_rules": rules})
    routing = routing_of(config)
    states = []
    (tmp_path / "real").mkdir()
    (tmp_path / "ours").mkdir()
    with real_alertmanager(tmp_path / "real", config) as real, our_api(tmp_path / "ours", routing) as ours:
        for api in (real, ours):
            for body in silences:
                assert api.post("/api/v2/silences", body)[0] == 200
            assert api.post("/api/v2/alerts", alerts)[0] == 200
            comments = {s["id"]: s["comment"] for s in api.get("/api/v2/silences")[1]}
            states.append({a["fingerprint"]: seen(a, comments) for a in api.get("/api/v2/alerts")[1]})
    theirs, mine = states
    assert mine.keys() == theirs.keys()
    different = [fp for fp in theirs if mine[fp] != theirs[fp]]
    everybody = [Labels(entry["labels"]) for entry in mine.values()]
    unexplained = []
    for fp in different:
        forgotten = mine[fp]["inhibited"] and not theirs[fp]["inhibited"]
        if not (
            forgotten
            and any(one_source_hides_another(rule, Labels(mine[fp]["labels"]), everybody) for rule in routing.inhibit_rules)
        ):
            unexplained.append((mine[fp], theirs[fp]))
    assert not unexplained, f"{len(unexplained)} of {len(theirs)} alerts differ: {unexplained[:3]}"
    print(f"{SETS} sets, {len(theirs)} alerts, {len(different)} explained differences")


def one_source_hides_another(rule: InhibitRule, target: Labels, everybody: list[Labels]) -> bool:
    """The real one remembers one source per value of the `equal` labels; one on both sides then hides another that inhibits."""
    if not (all_match(rule.target, target) and all_match(rule.source, target)):
        return False
    sources = [
        other for other in everybody if all_match(rule.source, other) and all(other.get(n) == target.get(n) for n in rule.equal)
    ]
    return {all_match(rule.target, other) for other in sources} == {True, False}


def seen(alert: dict[str, Any], comments: dict[str, str]) -> dict[str, Any]:
    status = alert["status"]
    return {
        "labels": alert["labels"],
        "state": status["state"],
        "inhibited": bool(status["inhibitedBy"]),
        "silenced": sorted(comments[silence_id] for silence_id in status["silencedBy"]),
    }
