"""Whose the sections of a file are: Tocsin's own, Prometheus's and Alertmanager's, which may stand side by side."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tocsin.config import alertmanager, prometheus
from tocsin.config.receivers import GlobalSection
from tocsin.config.schema import OwnSections
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Tree

OWN_KEYS = frozenset(OwnSections.model_fields)
_ALERTMANAGER_GLOBAL = frozenset(field.alias or name for name, field in GlobalSection.model_fields.items())


def prometheus_part(tree: Tree) -> dict[str, Any]:
    return _part(tree, prometheus.KEYS, prometheus.GLOBAL_KEYS)


def alertmanager_part(tree: Tree) -> dict[str, Any]:
    return _part(tree, alertmanager.ALERTMANAGER_KEYS, _ALERTMANAGER_GLOBAL)


def _part(tree: Tree, keys: Iterable[str], global_keys: Collection[str]) -> dict[str, Any]:
    """The sections of one upstream tool; `global` is shared by both, each takes the keys it knows."""
    part = {key: tree.value[key] for key in keys if tree.value.get(key) is not None and key != "global"}
    shared = tree.value.get("global")
    if isinstance(shared, dict):
        part["global"] = {key: value for key, value in shared.items() if key in global_keys}
    return part


def unknown_sections(tree: Tree) -> list[Problem]:
    known = {*OWN_KEYS, "checks", *prometheus.KEYS, *alertmanager.ALERTMANAGER_KEYS}
    return [
        Problem(tree.place((key,)), key, f"unknown section {key!r}{_meant(key, known)}") for key in tree.value if key not in known
    ]


def unknown_global(tree: Tree) -> list[Problem]:
    """Keys of `global` that neither Prometheus nor Alertmanager knows."""
    shared: Mapping[str, Any] = tree.value["global"] if isinstance(tree.value.get("global"), dict) else {}
    known = {*prometheus.GLOBAL_KEYS, *_ALERTMANAGER_GLOBAL}
    return [
        Problem(tree.place(("global", key)), f"global.{key}", f"unknown key {key!r}{_meant(key, known)}")
        for key in shared
        if key not in known
    ]


def _meant(key: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
