"""What Tocsin would understand of a configuration that somebody pastes; nothing is read from disk and nothing is taken over."""

from __future__ import annotations

from typing import Any

import yaml

from tocsin.app.status import problem_row
from tocsin.collect.target import ScrapeJob
from tocsin.config.config import Config
from tocsin.config.load import build
from tocsin.config.sources import Sources
from tocsin.errors import CommandError, ConfigError
from tocsin.formats.yaml_tree import parse_yaml

_LARGEST = 1024 * 1024
_NAMED = 20
# Keys that name files: a paste has none beside it, and a browser must not learn what lies on our disk.
_FILES = ("rule_files", "dashboard_files", "scrape_config_files")


def preview(text: str, name: str = "prometheus.yml") -> dict[str, Any]:
    """{jobs, checks, people, files, problems}: problems carry the line of the pasted text. Raises CommandError 413, 422."""
    if len(text) > _LARGEST:
        raise CommandError(413, "too_large", f"the text has {len(text)} characters; {_LARGEST} are the most")
    try:
        value = parse_yaml(text, name).value
    except ConfigError as error:
        return {**_nothing(), "problems": [problem_row(problem) for problem in error.problems]}
    if not isinstance(value, dict):
        raise CommandError(422, "bad_config", "expected a mapping such as scrape_configs: [...]")
    files = [str(path) for key in _FILES if isinstance(value.get(key), list) for path in value[key]]
    kept = _without_files(text) if files else text
    try:
        config = build(Sources((name,), {name: kept}))
    except ConfigError as error:
        return {**_nothing(), "files": files, "problems": [problem_row(problem) for problem in error.problems]}
    return {**_understood(config), "files": files, "problems": [problem_row(problem) for problem in config.warnings]}


def _nothing() -> dict[str, Any]:
    return {"jobs": [], "checks": [], "people": [], "files": [], "problems": []}


def _understood(config: Config) -> dict[str, Any]:
    return {
        "jobs": [_job(job) for job in config.jobs],
        "checks": [check.name for check in config.checks],
        "people": sorted(config.directory.persons),
    }


def _job(job: ScrapeJob) -> dict[str, Any]:
    targets = [address for group in job.static for address in group.targets]
    kinds = sorted(type(one).__name__.removesuffix("Discovery").lower() for one in job.discovery)
    return {"name": job.name, "every_ms": job.interval_ms, "targets": targets[:_NAMED], "count": len(targets), "discovery": kinds}


def _without_files(text: str) -> str:
    """The text with the keys that name files emptied; other lines stay where they are, so that problems name the right ones."""
    lines = text.splitlines()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        if key.value not in _FILES:
            continue
        first, last = key.start_mark.line, value.end_mark.line
        # A block sequence ends where the next key begins; a flow sequence on its own line.
        last = max(first, last - 1) if value.end_mark.column == 0 and last > first else last
        for line in range(first, min(last + 1, len(lines))):
            lines[line] = ""
    return "\n".join(lines) + "\n"
