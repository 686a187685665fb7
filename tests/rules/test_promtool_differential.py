# ruff: noqa: E501
"""Random rules over random series: promtool must find at every evaluation exactly the alerts that we found.

Our outcome is written down as the expectation of a unit-test file; promtool's SUCCESS is the proof. One assertion is one
evaluation of one rule, with all its alerts, labels and annotations; TOCSIN_ASSERTIONS asks for more.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tocsin.model.labels import Labels
from tocsin.model.series import QueryResult, ValueType, Vector
from tocsin.promql.engine import Engine
from tocsin.rules.alerting import is_firing
from tocsin.rules.group import GroupRun, Surroundings, batch_of
from tocsin.rules.memory import MemoryStore
from tocsin.rules.notation import parse_series, parse_values
from tocsin.rules.rulefile import parse_rule_file
from tocsin.rules.testing import run_rule_tests

EVALUATIONS = 900
RULES = 30
"""Per file: promtool looks through all rules for each assertion, so that many short files cost less than one of many rules."""
ASSERTIONS = int(os.environ.get("TOCSIN_ASSERTIONS", "108000"))
STEP_S = 15
Outcome = tuple[int, str, list[tuple[Labels, Labels]]]
SHARED = Path(os.environ.get("TOCSIN_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "promtool-rules"
CORPUS = [
    "failing.yml", "long-period.yml", "at-modifier-test.yml", "bad-input-series.yml", "bad-promql.yml",
    "bad-rules-error-test.yml", "bad-rules-syntax-test.yml", "negative-offset-test.yml", "no-test-group-interval.yml",
    "rules_run.yml", "rules_run_extrafields.yml", "rules_run_fuzzy.yml", "rules_run_no_fuzzy.yml",
]  # fmt: skip
RULE_FILES = [
    "alert_rule.yaml", "at-modifier.yml", "bad-rules-error.yml", "bad-rules-syntax.yml", "invalid_rules.yaml", "features.yml",
    "negative-offset.yml", "rules-bad.yml", "rules.yml", "rules_chain.yaml", "rules_dependencies.yaml", "rules_duplicates.yml",
    "rules_extrafields.yml", "rules_indeterminates.yaml", "rules_multiple.yaml", "rules_multiple_groups.yaml",
    "prometheus-rules.lint.yml", "prometheus-config.bad.yml",
]  # fmt: skip


@pytest.fixture(scope="module")
def promtool() -> str:
    path = Path(os.environ.get("TOCSIN_PEERS", "/opt/peers")) / "bin" / "promtool"
    if not path.exists():
        pytest.skip("promtool is not installed")
    return str(path)


def rule_text(choose: random.Random, count: int) -> str:
    rules = []
    for i in range(count):
        metric = f"m{choose.randrange(3)}"
        expr = choose.choice(
            [
                f"{metric} > 0",
                f"{metric} == 0",
                f"sum by (job) ({metric}) > 1",
                f"rate({metric}[1m]) > 0",
                f"absent({metric} > 0)",
            ]
        )
        rule = {
            "alert": f"A{i}",
            "expr": expr,
            "for": f"{choose.choice([0, 0, 15, 20, 30, 45, 60, 100, 300])}s",
            "keep_firing_for": f"{choose.choice([0, 0, 15, 20, 30, 60, 100])}s",
            "labels": {"severity": "page", "value": choose.choice(["fixed", "of {{ $labels.instance }}"])},
            "annotations": {"text": choose.choice(["{{ $value }}", "{{ humanize $value }} at {{ $labels.job }}", "plain"])},
        }
        rules.append(rule)
    return yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]})


def values_text(choose: random.Random, evaluations: int) -> str:
    """Runs of values, gaps and ends, so that durations are met, just missed and interrupted."""
    parts: list[str] = []
    while len(parts) < evaluations:
        value = choose.choice(["0", "0", "1", "2", "3.5", "_", "stale"])
        parts += [value] * choose.choice([1, 1, 2, 3, 4, 5, 8])
    return " ".join(parts[:evaluations])


class Precomputed:
    """Answers every instant of one expression from a single range query: the rules are under test here, not the engine."""

    def __init__(self, engine: Engine, evaluations: int) -> None:
        self._engine = engine
        self._end_ms = (evaluations - 1) * STEP_S * 1000
        self._answers: dict[str, list[QueryResult]] = {}

    def instant(self, query: str, t_ms: int) -> QueryResult:
        if query not in self._answers:
            self._answers[query] = list(self._columns(query))
        return self._answers[query][t_ms // (STEP_S * 1000)]

    def _columns(self, query: str) -> Iterator[QueryResult]:
        matrix = self._engine.range(query, 0, self._end_ms, STEP_S * 1000).matrix
        assert matrix is not None
        for i, t_ms in enumerate(matrix.t_ms.tolist()):
            here = np.flatnonzero(~np.isnan(matrix.values[:, i]))
            labels = tuple(matrix.labels[row] for row in here.tolist())
            times = np.full(len(labels), t_ms, dtype=np.int64)
            yield QueryResult(ValueType.VECTOR, t_ms=t_ms, vector=Vector(labels, matrix.values[here, i], times))


def our_outcome(rules: str, series: list[tuple[str, str]], evaluations: int, *, every_query: bool) -> list[Outcome]:
    groups, problems = parse_rule_file(rules, "rules.yml", default_interval_ms=STEP_S * 1000)
    assert not problems, problems
    store = MemoryStore()
    for name, text in series:
        pairs = [(i * STEP_S * 1000, v) for i, v in enumerate(parse_values(text)) if v is not None]
        store.load(parse_series(name), [t for t, _ in pairs], [v for _, v in pairs])
    engine = Engine(store)
    around = Surroundings(engine if every_query else Precomputed(engine, evaluations), bare=True)
    (group,) = (GroupRun(one) for one in groups)
    outcome = []
    for i in range(evaluations):
        t_ms = i * STEP_S * 1000
        for run in group.runs:
            batch = batch_of(group.evaluate([run], t_ms, around))
            if batch is not None and every_query:
                store.append(batch)
            assert not run.error, run.error
            firing = [(s.labels, Labels(s.annotations)) for s in run.states.values() if is_firing(s.phase)]
            outcome.append((i * STEP_S, run.rule.name, firing))
    return outcome


@pytest.mark.peer
def test_promtool_sees_the_same_alerts_with_every_query_asked(promtool: str, tmp_path: Path) -> None:
    _compare(promtool, tmp_path, seed=0, evaluations=60, every_query=True)


@pytest.mark.peer
@pytest.mark.parametrize("seed", range(1, 1 + max(1, round(ASSERTIONS / (EVALUATIONS * RULES)))))
def test_promtool_sees_the_same_alerts_at_every_evaluation(promtool: str, tmp_path: Path, seed: int) -> None:
    _compare(promtool, tmp_path, seed=seed, evaluations=EVALUATIONS, every_query=False)


def _compare(promtool: str, folder: Path, *, seed: int, evaluations: int, every_query: bool) -> None:
    choose = random.Random(seed)
    rules = rule_text(choose, RULES)
    series = [(f'm{i}{{job="j",instance="{name}"}}', values_text(choose, evaluations)) for i in range(3) for name in "ab"]
    outcome = our_outcome(rules, series, evaluations, every_query=every_query)
    cases = [
        {
            "eval_time": f"{t_s}s",
            "alertname": name,
            "exp_alerts": [
                {"exp_labels": dict(labels.without("alertname")), "exp_annotations": dict(annotations)}
                for labels, annotations in firing
            ],
        }
        for t_s, name, firing in outcome
    ]
    assert any(case["exp_alerts"] for case in cases)
    test = {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": name, "values": text} for name, text in series],
        "alert_rule_test": cases,
    }
    (folder / "rules.yml").write_text(rules)
    document = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP_S}s", "tests": [test]}
    (folder / "test.yml").write_text(json.dumps(document))  # JSON is YAML, and a hundred times faster to write
    done = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}: {(done.stdout + done.stderr)[:3000]}"


@pytest.mark.peer
@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_of_unit_tests_gets_promtools_verdict(promtool: str, name: str) -> None:
    if not SHARED.exists():
        pytest.skip(f"no conformance data at {SHARED}")
    done = subprocess.run([promtool, "test", "rules", name], cwd=SHARED, capture_output=True, text=True, check=False)
    (ours,) = run_rule_tests([SHARED / name])
    assert ours.ok == (done.returncode == 0), done.stdout + done.stderr + ours.text


@pytest.mark.peer
@pytest.mark.parametrize("name", RULE_FILES)
def test_the_corpus_of_rule_files_gets_promtools_verdict(promtool: str, name: str) -> None:
    if not SHARED.exists():
        pytest.skip(f"no conformance data at {SHARED}")
    done = subprocess.run(
        [promtool, "check", "rules", "--lint=none", name], cwd=SHARED, capture_output=True, text=True, check=False
    )
    _, problems = parse_rule_file((SHARED / name).read_text(), name)
    assert bool(problems) == (done.returncode != 0), done.stdout + done.stderr + str(problems)


TEMPLATES = [
    "{{ $value }} {{ .Value }} {{ $labels.instance }} {{ .Labels.nope }}|{{ $externalLabels.zone }} {{ $externalURL }}",
    "{{ humanize 0.0 }} {{ humanize 1234567.0 }} {{ humanize 0.00012 }} {{ humanize -1.5 }} {{ humanize1024 1048576.0 }} {{ humanize1024 0.5 }}",
    "{{ humanizeDuration 0.0 }} {{ humanizeDuration 0.034 }} {{ humanizeDuration 59.9 }} {{ humanizeDuration 3661 }} {{ humanizeDuration -93784 }}",
    "{{ humanizePercentage 0.1234567 }} {{ humanizePercentage 1.0 }} {{ humanizeTimestamp 1435065584.128 }} {{ humanizeTimestamp 0 }}",
    "{{ range query `m` | sortByLabel `instance` }}{{ .Labels.instance }}={{ .Value }};{{ end }} {{ with query `m > 100` }}{{ . | first | value }}{{ else }}none{{ end }}",
    "{{ query `m` | sortByLabel `instance` | first | label `instance` }} {{ query `m == 1` | first | value | printf `%.3f` }}",
    "{{ reReplaceAll `(.*)-(.*)` `$2/${1}` `a-b` }} {{ match `^a.c$` `abc` }} {{ toUpper `x` }} {{ title `hello world` }} {{ toLower `XY` }}",
    '{{ graphLink `up == 0` }} {{ tableLink `a{b="c"}` }}',
    "{{ stripPort `host:80` }} {{ stripPort `[::1]:80` }} {{ stripDomain `a.b.c:90` }} {{ stripDomain `10.0.0.1:90` }} {{ parseDuration `1h30m` }}",
    "{{ if gt $value 2.0 }}big{{ else if eq $value 2.0 }}two{{ else }}small{{ end }} {{ if and true (not false) }}y{{ end }} {{ or `` `d` }}",
    "{{ $x := `v` }}{{ range $i, $e := query `m` }}{{ $i }}{{ if $i }}{{ $x = `w` }}{{ end }}{{ end }}{{ $x }} {{ len `abc` }} {{ index (args 5 `b`) `arg1` }}",
    '{{ define `t` }}[{{ . }}]{{ end }}{{ template `t` $value }} {{ printf `%5.1f|%-5s|%05d|%q|%v|%x|%t|%%` $value `ab` 42 `q"` true 255 false }}',
    "{{ printf `%s` $value }} {{ printf `%d` `x` }} {{ printf `%d` }} {{ print 1 2 `a` 3 }} {{ println `x` }} {{- /* gone */ -}} {{ 1e6 }} {{ 0x1F }} {{ 'a' }}",
    '{{ html `<a href="x">` }} {{ urlquery `a b&c` }} {{ js `it\'s` }} {{ slice `abcdef` 1 3 }} {{ eq 1 2 1 }} {{ le `a` `b` }} {{ ne 1.5 2.5 }}',
    "{{ 12345678.0 }} {{ 123456.0 }} {{ 0.0001 }} {{ 0.00001 }} {{ 100000.0 }} {{ 1e20 }} {{ 1e21 }} {{ 1.0 }} {{ -0.5 }}",
    "{{ (query `m == 2` | first).Value }} {{ with $v := 3 }}{{ $v }}{{ . }}{{ end }} {{ range $k, $v := $labels }}{{ $k }}={{ $v }},{{ end }}",
    "{{ first (query `none`) }}",
    "{{ $value.foo }}",
    "{{ range $i := query `m` | sortByLabel `instance` }}{{ if eq $i.Labels.instance `b` }}{{ break }}{{ end }}{{ $i.Labels.instance }}{{ end }} {{ toTime 0 }}",
]


@pytest.mark.peer
def test_templates_expand_as_in_prometheus(promtool: str, tmp_path: Path) -> None:
    rules = {
        "groups": [
            {
                "name": "g",
                "rules": [{"alert": f"T{i}", "expr": "m > 1", "annotations": {"t": text}} for i, text in enumerate(TEMPLATES)],
            }
        ]
    }
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    series = [('m{instance="b"}', "2"), ('m{instance="a"}', "1")]
    groups, problems = parse_rule_file(yaml.safe_dump(rules), "rules.yml")
    assert not problems
    store = MemoryStore()
    for name, text in series:
        store.load(parse_series(name), [0], [float(text)])
    around = Surroundings(Engine(store), "http://tocsin.test/base", {"zone": "z"}, bare=True)
    group = GroupRun(groups[0])
    group.evaluate(group.runs, 0, around)
    cases = []
    for run in group.runs:
        (state,) = run.states.values()
        if "<error expanding" in state.annotations["t"]:
            continue  # both refuse; the texts of the errors are Go's
        alert = {"exp_labels": {"instance": "b"}, "exp_annotations": dict(state.annotations)}
        cases.append({"eval_time": "0s", "alertname": run.rule.name, "exp_alerts": [alert]})
    assert len(cases) == len(TEMPLATES) - 2
    test = {
        "external_url": "http://tocsin.test/base",
        "external_labels": {"zone": "z"},
        "input_series": [{"series": name, "values": text} for name, text in series],
        "alert_rule_test": cases,
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[:6000]
