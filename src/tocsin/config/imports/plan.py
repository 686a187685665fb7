"""What an import will do before it does it: what is taken, what is left with the place where it stands, and what that becomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.collect.target import ScrapeJob
from tocsin.config.config import Config
from tocsin.errors import Place, Problem
from tocsin.formats.yaml_tree import Path, Tree, parse_yaml, path_text
from tocsin.rules import shipped
from tocsin.web.boards.builtin import builtin


@dataclass(frozen=True, slots=True)
class Taken:
    """One thing that will be there afterwards."""

    what: str
    """job, rules, route, receiver, check, dashboard, panel, user, schedule, policy."""
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is there already; an import adds to it and changes none of it."""

    sections: Mapping[str, Any]
    """The merged files and additions."""
    jobs: frozenset[str] = frozenset()
    checks: frozenset[str] = frozenset()
    groups: frozenset[tuple[str, tuple[str, ...]]] = frozenset()
    """Name of a rule group, names of its rules."""
    boards: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    schedules: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Config) -> Known:
        return cls(
            sections=parse_yaml(config.text, "tocsin.yaml").value if config.text else {},
            jobs=frozenset(job.name for job in config.jobs),
            checks=frozenset(spec.id for spec in config.checks),
            groups=frozenset(
                (group.name, tuple(rule.name for rule in group.rules))
                for group in config.file_rules
                if group.file != shipped.FILE
            ),
            boards=frozenset({board.name for board in config.dashboards} | set(builtin())),
            policies=frozenset(config.directory.policies),
            people=frozenset(config.directory.persons),
            schedules=frozenset(config.directory.schedules),
        )


@dataclass(slots=True)
class Plan:
    """Filled by the readers of this folder."""

    titles: list[str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    left: list[Problem] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    """What will be otherwise for things that are there, in words."""
    sections: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    """For `checks` of the dashboard: each can be changed and removed by itself."""
    jobs: list[ScrapeJob] = field(default_factory=list)

    def leave(self, place: Place, path: str, message: str) -> None:
        self.left.append(Problem(place, path, message, warning=True))

    def add_list(self, key: str, items: list[Any]) -> None:
        if items:
            self.sections[key] = [*self.sections.get(key, []), *items]

    @property
    def empty(self) -> bool:
        return not (self.sections or self.checks)


LOCAL = "it reads from this machine, which only the operator's own files may say: write it into tocsin.yaml"
_LOCAL_SECTIONS = ("docker_sd_configs", "file_sd_configs", "scrape_config_files")
_OWN_NAMES = (
    "labels",
    "external_labels",
    "annotations",
    "match",
    "match_re",
    "headers",
    "http_headers",
    "params",
    "details",
    "fields",
)
"""Mappings whose keys are somebody's own names: `labels: {env: prod}` is a label (as config.secrets has it)."""


def local_parts(value: Any, path: Path = ()) -> Iterator[Path]:
    """What names files, variables or sockets of this machine: nobody with a browser may have those read and sent somewhere."""
    if isinstance(value, Mapping):
        if set(value) in ({"env"}, {"file"}) and not (path and path[-1] in _OWN_NAMES):
            yield path
            return
        for key, item in value.items():
            if item and (str(key).endswith("_file") or key in _LOCAL_SECTIONS):
                yield (*path, str(key))
            else:
                yield from local_parts(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from local_parts(item, (*path, index))


def leave_section(plan: Plan, tree: Tree, key: str, why: str) -> None:
    plan.leave(tree.place((key,)), path_text((key,)), why)
