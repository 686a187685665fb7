"""A handful of files of any kind -> one plan: each is known by what is in it; those that name others find them among the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tocsin.config.imports.alertmanager import read_routing
from tocsin.config.imports.grafana import is_dashboard, read_grafana
from tocsin.config.imports.kuma import is_backup, read_kuma
from tocsin.config.imports.plan import Known, Plan
from tocsin.config.imports.prometheus import read_address, read_prometheus, read_rules
from tocsin.errors import ConfigError, Place
from tocsin.formats.yaml_tree import Tree, read_yaml

MOST_FILES = 200
LARGEST = 16 * 1024 * 1024
"""Characters in all files together."""
_ALERTMANAGER = ("route", "receivers", "inhibit_rules")
_PROMETHEUS = ("scrape_configs", "rule_files", "remote_write", "alerting")


def plan_files(files: Mapping[str, str], known: Known) -> Plan:
    """What would be taken of `files` (name -> text) and what not; nothing is read from disk."""
    plan = Plan()
    rules: dict[str, str] = {}
    templates: dict[str, str] = {}
    routing: list[Tree] = []
    scraping: list[Tree] = []
    for name, text in files.items():
        if name.endswith((".tmpl", ".tpl")) or "{{ define" in text or "{{define" in text or "{{- define" in text:
            templates[name] = text
        elif (value := _json(text)) is not None:
            _read_json(plan, value, name, known)
        elif not read_address(plan, text, known):
            _sort_yaml(plan, name, text, rules=rules, routing=routing, scraping=scraping)
    shared: Mapping[str, Any] = {}
    for tree in scraping:
        try:
            read_prometheus(plan, tree, known, rules)
        except ConfigError as error:
            plan.left += error.problems
        shared = tree.value.get("global") or shared
    for name, text in rules.items():
        read_rules(plan, name, text, known, shared if isinstance(shared, Mapping) else {})
    used: set[str] = set()
    for number, tree in enumerate(routing):
        if number:
            plan.leave(Place(tree.file), "route", f"{routing[0].file} has a route already; two cannot both decide")
            continue
        used |= read_routing(plan, tree, known, templates)
    for name in sorted(templates.keys() - used):
        plan.leave(Place(name), "", "no `templates` of an alertmanager.yml names it")
    return plan


def _json(text: str) -> Any:
    """None where it is not JSON of a kind that is looked into."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_json(plan: Plan, value: Any, name: str, known: Known) -> None:
    if is_backup(value):
        read_kuma(plan, value, name, known)
    elif is_dashboard(value):
        read_grafana(plan, value, name, known)
    else:
        text = "expected monitors of Uptime Kuma (monitorList) or a dashboard of Grafana (panels)"
        plan.leave(Place(name, 1), "", text)


def _sort_yaml(plan: Plan, name: str, text: str, *, rules: dict[str, str], routing: list[Tree], scraping: list[Tree]) -> None:
    tree, problems = read_yaml(text, name)
    if problems:
        plan.left += problems
        return
    value = tree.value
    if not isinstance(value, Mapping) or not value:
        plan.leave(Place(name, 1), "", "expected a prometheus.yml, rules, an alertmanager.yml, or host:port")
    elif "groups" in value and not any(key in value for key in (*_ALERTMANAGER, *_PROMETHEUS)):
        rules[name] = text
    elif any(key in value for key in _ALERTMANAGER):
        routing.append(tree)
    elif any(key in value for key in _PROMETHEUS) or "global" in value:
        scraping.append(tree)
    else:
        keys = ", ".join(list(map(str, value))[:5])
        text = f"neither a prometheus.yml, rules nor an alertmanager.yml ({keys}); Tocsin's own sections belong into tocsin.yaml"
        plan.leave(Place(name, 1), "", text)
