"""Random inhibition rules, silences and alerts: the states in /api/v2/alerts equal the real Alertmanager's.

They differ in one thing, on purpose (docs/decisions/0005-inhibition.md): each difference must be the one that a model of
Alertmanager's index of sources foretells, for every alert, and ours must be what the rules say.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conformance.alertmanager_peer import Api, our_api, real_alertmanager, routing_of

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
    (tmp_path / "real").mkdir()
    (tmp_path / "ours").mkdir()
    everybody = [Labels(entry["labels"]) for entry in alerts]
    indexed = {labels.fingerprint_hex(): inhibited_by_index(routing.inhibit_rules, labels, everybody) for labels in everybody}
    true = {labels.fingerprint_hex(): inhibited_by_any(routing.inhibit_rules, labels, everybody) for labels in everybody}
    with real_alertmanager(tmp_path / "real", config) as real, our_api(tmp_path / "ours", routing) as ours:
        for api in (real, ours):
            for body in silences:
                assert api.post("/api/v2/silences", body)[0] == 200
            assert api.post("/api/v2/alerts", alerts)[0] == 200
        theirs = states_of(real, indexed)
        mine = states_of(ours, true)
    assert mine.keys() == theirs.keys() == true.keys()
    assert not (wrong := [fp for fp in true if mine[fp]["inhibited"] != true[fp]]), (
        f"{len(wrong)} of ours are not as the rules say"
    )
    assert not (wrong := [fp for fp in true if theirs[fp]["inhibited"] != indexed[fp]]), (
        f"{len(wrong)} are not of the one-source index"
    )
    explained = {fp for fp in true if true[fp] != indexed[fp]}
    for fp in theirs.keys() - explained:
        assert mine[fp] == theirs[fp]
    print(f"{SETS} sets, {len(theirs)} alerts, {len(explained)} differ by the one-source index")


def states_of(api: Api, wanted: dict[str, bool]) -> dict[str, dict[str, Any]]:
    """The states, once all alerts have reached the inhibitor (the real one hands them on in the background)."""
    comments = {s["id"]: s["comment"] for s in api.get("/api/v2/silences")[1]}
    deadline = time.monotonic() + 10
    while True:
        states = {a["fingerprint"]: seen(a, comments) for a in api.get("/api/v2/alerts")[1]}
        if {fp: state["inhibited"] for fp, state in states.items()} == wanted or time.monotonic() > deadline:
            return states
        time.sleep(0.1)


def inhibited_by_any(rules: Sequence[InhibitRule], target: Labels, everybody: Sequence[Labels]) -> bool:
    """What the rules say: some source with the same `equal` labels, unless both alerts match both sides."""
    return any(
        all_match(rule.target, target)
        and any(
            all_match(rule.source, other)
            and _key(rule, other) == _key(rule, target)
            and not (all_match(rule.source, target) and all_match(rule.target, other))
            for other in everybody
        )
        for rule in rules
    )


def inhibited_by_index(rules: Sequence[InhibitRule], target: Labels, everybody: Sequence[Labels]) -> bool:
    """What Alertmanager 0.33 does: per rule and values of the `equal` labels it knows one source only, the last that came among
    those that end at the same time, and asks no other when that one may not inhibit."""
    for rule in rules:
        if not all_match(rule.target, target):
            continue
        known = [other for other in everybody if all_match(rule.source, other) and _key(rule, other) == _key(rule, target)]
        if known and not (all_match(rule.source, target) and all_match(rule.target, known[-1])):
            return True
    return False


def _key(rule: InhibitRule, labels: Labels) -> list[str]:
    return [labels.get(name) for name in rule.equal]


def seen(alert: dict[str, Any], comments: dict[str, str]) -> dict[str, Any]:
    status = alert["status"]
    return {
        "labels": alert["labels"],
        "state": status["state"],
        "inhibited": bool(status["inhibitedBy"]),
        "silenced": sorted(comments[silence_id] for silence_id in status["silencedBy"]),
    }
