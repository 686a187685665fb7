"""alertmanager.yml: taken whole where no `route` is written yet; two routing trees cannot both decide."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

from tocsin.config.alertmanager import GLOBAL_KEYS, read_alertmanager
from tocsin.config.imports.plan import LOCAL, Known, Plan, Taken, leave_section, local_parts
from tocsin.errors import Place, Problem
from tocsin.formats.yaml_tree import Tree, path_text

_OWN = {"tracing": "Tocsin does not trace itself", "event_recorder": "Tocsin keeps its own timeline"}
_TAKEN = ("route", "receivers", "inhibit_rules", "mute_time_intervals", "time_intervals")


def read_routing(plan: Plan, tree: Tree, known: Known, given: Mapping[str, str]) -> set[str]:
    """Adds routing to `plan`; `given` are template files by name. Returns those that `templates` names."""
    plan.titles.append(tree.file)
    file, problems = read_alertmanager(tree.value, tree)
    wrong = [problem for problem in problems if not problem.warning]
    if wrong or file is None:
        plan.left += wrong
        plan.leave(Place(tree.file), "", "the file is not taken: Alertmanager would refuse it, too")
        return set()
    if known.sections.get("route"):
        text = "a `route` is written already, and it stays: add these routes and receivers to it in tocsin.yaml"
        plan.leave(tree.place(("route",)), "route", text)
        return set()
    if local := list(local_parts({key: tree.value.get(key) for key in ("global", *_TAKEN)})):
        plan.left += [_left_local(tree, path) for path in local]
        plan.leave(Place(tree.file), "", "the file is not taken: a receiver without its secret would reach nobody")
        return set()
    for key in tree.value:
        if key in _OWN and tree.value[key]:
            leave_section(plan, tree, key, _OWN[key])
    _take(plan, tree, known)
    return _templates(plan, tree, given)


def _left_local(tree: Tree, path: tuple[str | int, ...]) -> Problem:
    return Problem(tree.place(path), path_text(path), f"{LOCAL}, or give the value itself", warning=True)


def _take(plan: Plan, tree: Tree, known: Known) -> None:
    there = known.sections.get("global") or {}
    shared = {key: value for key, value in (tree.value.get("global") or {}).items() if key in GLOBAL_KEYS and value is not None}
    for key in [key for key in shared if key in there]:
        if there[key] != shared[key]:
            plan.leave(tree.place(("global", key)), f"global.{key}", f"is set in tocsin.yaml, which stays: {key} there counts")
        del shared[key]
    if shared:
        plan.sections["global"] = {**plan.sections.get("global", {}), **shared}
    for key in _TAKEN:
        if tree.value.get(key):
            plan.sections[key] = tree.value[key]
    receivers = [str(one.get("name")) for one in tree.value.get("receivers") or []]
    routes = _count(tree.value["route"])
    root = tree.value["route"].get("receiver")
    plan.taken.append(Taken("route", str(root), f"{routes} route{'' if routes == 1 else 's'}; what matches none goes to {root}"))
    plan.taken += [Taken("receiver", name) for name in receivers]
    for key, word in (
        ("inhibit_rules", "inhibition"),
        ("time_intervals", "time interval"),
        ("mute_time_intervals", "time interval"),
    ):
        plan.taken += [Taken(word, str(one.get("name", number + 1))) for number, one in enumerate(tree.value.get(key) or [])]
    if known.policies or known.people:
        who = ", ".join(sorted(known.policies)) or "everybody under `users`"
        plan.changes.append(
            f"Alerts go where this route says. Until now they page {who}: give a receiver `policy: NAME` to keep that."
        )


def _count(route: Mapping[str, Any]) -> int:
    return 1 + sum(_count(child) for child in route.get("routes") or [])


def _templates(plan: Plan, tree: Tree, given: Mapping[str, str]) -> set[str]:
    named: set[str] = set()
    for index, pattern in enumerate(tree.value.get("templates") or []):
        found = {name for name in given if fnmatch(PurePosixPath(name).name, PurePosixPath(str(pattern)).name)}
        if not found:
            path = ("templates", index)
            text = f"no file of that name was given: choose {pattern} together with this one, or Tocsin's own words are sent"
            plan.leave(tree.place(path), path_text(path), text)
        named |= found
    for name in sorted(named):
        file = PurePosixPath(name).name
        plan.files[file] = given[name]
        plan.add_list("templates", [file])
        plan.taken.append(Taken("templates", file))
    return named
