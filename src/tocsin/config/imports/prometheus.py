"""prometheus.yml with its rule files: jobs and rules are taken, what is Prometheus's own is left and said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from tocsin.config import prometheus
from tocsin.config.additions import dump
from tocsin.config.imports.plan import LOCAL, Known, Plan, Taken, leave_section, local_parts
from tocsin.config.prometheus_scrape import way_out, without_unsupported
from tocsin.errors import ConfigError, Place
from tocsin.formats.yaml_tree import Tree, parse_yaml, path_text
from tocsin.model.duration import format_duration, parse_duration_ms
from tocsin.rules.rulefile import parse_rule_file

_PER_JOB = (
    "scrape_protocols", "body_size_limit", "sample_limit", "target_limit", "label_limit", "label_name_length_limit",
    "label_value_length_limit", "keep_dropped_targets",
)  # fmt: skip
"""Keys of `global` that a job takes over where it does not say them itself."""
_LEFT = {
    "alerting": "alerts of these rules are paged by Tocsin; to send them on as well, write `alerting` into tocsin.yaml",
    "remote_write": "samples are not sent on; write `remote_write` into tocsin.yaml if they should be",
    "remote_read": "use `source` in tocsin.yaml to read from another Prometheus",
    "scrape_config_files": "files that are named here are not at hand; give their text as well",
    "storage": "Tocsin's store is set up under `store`",
    "tracing": "Tocsin does not trace itself",
    "otlp": "OTLP is accepted with Prometheus's default translation",
    "runtime": "it tunes Prometheus's own runtime",
}
_INDEX = re.compile(r"scrape_configs\[(\d+)\]")
_ADDRESS = re.compile(r"(?:(https?)://)?(\[[0-9a-fA-F:]+\]:\d+|[\w.-]+:\d+|[\w-]+(?:\.[\w-]+)+)(/\S*)?(?: service=(\S+))?")


def read_address(plan: Plan, text: str, known: Known) -> bool:
    """`host:port/metrics`, perhaps with ` service=NAME`, is the shortest prometheus.yml; False when it is something else."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or "\n" in text.strip():
        return False
    scheme, address, path, service = found.groups()
    static = {"targets": [address], **({"labels": {"service": service}} if service else {})}
    job: dict[str, Any] = {"job_name": address, "scrape_interval": "15s", "static_configs": [static]}
    if scheme == "https":
        job["scheme"] = "https"
    if path and path not in ("/", "/metrics"):
        job["metrics_path"], _, query = path.partition("?")
        if query:
            job["params"] = {key: [value] for key, _, value in (pair.partition("=") for pair in query.split("&"))}
    read_prometheus(plan, parse_yaml(dump({"scrape_configs": [job]}), address), known, {})
    return True


def read_prometheus(plan: Plan, tree: Tree, known: Known, given: Mapping[str, str]) -> set[str]:
    """Adds what the file says to `plan`; `given` are the rule files beside it by name. Returns those that `rule_files` names."""
    plan.titles.append(tree.file)
    for key in tree.value:
        if key in _LEFT and tree.value[key]:
            leave_section(plan, tree, key, _LEFT[key])
        elif key not in prometheus.KEYS:
            leave_section(plan, tree, key, "Prometheus knows no such section")
    shared = tree.value.get("global") or {}
    if isinstance(shared, Mapping) and shared.get("external_labels"):
        place = tree.place(("global", "external_labels"))
        plan.leave(
            place, "global.external_labels", "labels of that Prometheus; write them into tocsin.yaml if others should see them"
        )
    _jobs(plan, tree, shared if isinstance(shared, Mapping) else {}, known)
    return _rule_files(plan, tree, given)


def _jobs(plan: Plan, tree: Tree, shared: Mapping[str, Any], known: Known) -> None:
    entries = tree.value.get("scrape_configs") or []
    if not isinstance(entries, list):
        plan.leave(tree.place(("scrape_configs",)), "scrape_configs", "expected a list of scrape configurations")
        return
    wrong = _refused(tree)
    kept: list[dict[str, Any]] = []
    for index, entry in enumerate(entries):
        path = ("scrape_configs", index)
        if index in wrong:
            plan.left += wrong[index]
            continue
        name = str(entry["job_name"])
        _, unsupported = without_unsupported(entry)
        local = list(local_parts(entry, path))
        if name in known.jobs or any(name == other["job_name"] for other in kept):
            plan.leave(tree.place(path), path_text((*path, "job_name")), f"there is a job {name!r} already; it stays as it is")
        elif unsupported:
            plan.leave(
                tree.place((*path, unsupported[0])),
                path_text((*path, unsupported[0])),
                f"the job {name!r}: {way_out(unsupported[0])}",
            )
        elif local:
            plan.leave(tree.place(local[0]), path_text(local[0]), f"the job {name!r}: {LOCAL}")
        else:
            kept.append(_whole(entry, shared))
    if not kept:
        return
    plan.add_list("scrape_configs", kept)
    read = prometheus.read({"scrape_configs": kept}, parse_yaml(dump({"scrape_configs": kept}), tree.file))
    plan.jobs += read.jobs
    for job in read.jobs:
        targets = [target for group in job.static for target in group.targets]
        kinds = sorted(type(one).__name__.removesuffix("Discovery").lower() for one in job.discovery)
        counted = [f"{len(targets)} target{'' if len(targets) == 1 else 's'}"] if targets else []
        found = [f"discovered by {', '.join(kinds)}"] if kinds else []
        plan.taken.append(Taken("job", job.name, f"{' and '.join([*counted, *found])}, every {format_duration(job.interval_ms)}"))


def _refused(tree: Tree) -> dict[int, list[Any]]:
    """What Prometheus would refuse, by the number of the job; the rest of the file is judged without it."""
    part = {key: tree.value[key] for key in ("global", "scrape_configs") if tree.value.get(key)}
    found: dict[int, list[Any]] = {}
    try:
        prometheus.read(part, tree)
    except ConfigError as error:
        for problem in error.problems:
            at = _INDEX.match(problem.path)
            if at and not problem.warning:
                found.setdefault(int(at[1]), []).append(problem)
            elif not problem.warning:
                raise ConfigError([problem]) from None
    return found


def _whole(entry: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The job with what it took over from `global`: beside other jobs of ours it must mean the same."""
    job = {key: value for key, value in entry.items() if value is not None}
    for key in _PER_JOB:
        if shared.get(key) is not None:
            job.setdefault(key, shared[key])
    job.setdefault("scrape_interval", shared.get("scrape_interval") or "1m")
    timeout = shared.get("scrape_timeout")
    if timeout and parse_duration_ms(str(timeout)) <= parse_duration_ms(str(job["scrape_interval"])):
        job.setdefault("scrape_timeout", timeout)
    return job


def _rule_files(plan: Plan, tree: Tree, given: Mapping[str, str]) -> set[str]:
    """Which of the given files `rule_files` names; a pattern that names none is left."""
    named: set[str] = set()
    for index, pattern in enumerate(tree.value.get("rule_files") or []):
        wanted = PurePosixPath(str(pattern)).name
        found = {name for name in given if fnmatch(PurePosixPath(name).name, wanted)}
        if not found:
            path = ("rule_files", index)
            plan.leave(
                tree.place(path), path_text(path), f"no file of that name was given: choose {pattern} together with this one"
            )
        named |= found
    return named


def read_rules(plan: Plan, name: str, text: str, known: Known, shared: Mapping[str, Any]) -> None:
    """A rule file is taken whole, or not at all: half of it would page for half of what it means."""
    every = str(shared.get("evaluation_interval") or "")
    groups, problems = parse_rule_file(text, name)
    wrong = [problem for problem in problems if not problem.warning]
    if wrong:
        plan.left += wrong
        plan.leave(Place(name), "", "the file is not taken: mend it and choose it again")
        return
    found = [(group.name, tuple(rule.name for rule in group.rules)) for group in groups]
    for group, rules in found:
        if (group, rules) in known.groups:
            plan.leave(Place(name), "groups", f"the group {group!r} is there already, with the same rules")
    if all(one in known.groups for one in found):
        return
    if any(one in known.groups for one in found) or (every and any(not _says_interval(text, group) for group, _ in found)):
        text = _rewritten(text, {group for group, rules in found if (group, rules) in known.groups}, every)
    file = PurePosixPath(name).name
    plan.titles.append(file)
    plan.files[file] = text
    plan.add_list("rule_files", [file])
    for group, rules in found:
        if (group, rules) not in known.groups:
            plan.taken.append(Taken("rules", group, f"{len(rules)} rule{'' if len(rules) == 1 else 's'} of {file}"))


def _says_interval(text: str, group: str) -> bool:
    value = parse_yaml(text, "").value
    return any(one.get("name") == group and one.get("interval") for one in value.get("groups") or [])


def _rewritten(text: str, without: set[str], every: str) -> str:
    """The file without groups that are there already, each group with the interval that `global` gave it."""
    value = parse_yaml(text, "").value
    groups = [group for group in value["groups"] if group.get("name") not in without]
    return dump({"groups": [{"interval": every, **group} if every else group for group in groups]})
