"""What people added in the dashboard in the words of the configuration files, kept in the state database.

files ──Sources──┐
additions ───────┴──build──▶ Config        an addition that does not go with the files is left out and said
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tocsin.config.config import Config
from tocsin.config.load import DEFAULT_ADDRESS, build
from tocsin.config.sources import Sources
from tocsin.errors import ConfigError, Place, Problem

FOLDER = "/added-in-the-dashboard"
"""Where additions would stand if they were files. Nothing is ever read from there."""
FILE_LISTS = ("rule_files", "dashboard_files", "templates")


@dataclass(frozen=True, slots=True)
class Addition:
    """One import, or one form that was filled in: sections of a configuration file, and the files that they name."""

    id: str
    title: str
    kind: str
    sections: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    """Name, as `sections` has it under `rule_files` and the like -> text."""
    created_by: str = ""
    created_ms: int = 0

    @property
    def name(self) -> str:
        """As problems name the place."""
        return f"{FOLDER}/{self.id}/tocsin.yaml"

    def path_of(self, file: str) -> str:
        return f"{FOLDER}/{self.id}/{file}"

    def text(self) -> str:
        """The sections as YAML, with full paths."""
        full = {
            key: [self.path_of(file) for file in value] if key in FILE_LISTS else value for key, value in self.sections.items()
        }
        return dump(full)


def dump(sections: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(sections), sort_keys=False, allow_unicode=True, width=130)


def with_additions(sources: Sources, additions: Iterable[Addition]) -> Sources:
    added = list(additions)
    texts = {addition.path_of(name): text for addition in added for name, text in addition.files.items()}
    return Sources(
        (*sources.main, *(addition.name for addition in added)),
        {**sources.texts, **{addition.name: addition.text() for addition in added}, **texts},
    )


def build_with(
    sources: Sources,
    additions: Sequence[Addition],
    *,
    watch: Iterable[Path] = (),
    address: str = DEFAULT_ADDRESS,
    now_ms: int = 0,
) -> Config:
    """As `build`, with what was added; the files win. Raises ConfigError where the files themselves are wrong."""
    watched = tuple(watch)

    def built(these: Sequence[Addition]) -> Config:
        config = build(with_additions(sources, these), watch=watched, address=address, now_ms=now_ms)
        return dataclasses.replace(
            config, files=sources.main, watched=tuple(path for path in config.watched if not str(path).startswith(FOLDER))
        )

    try:
        return built(additions)
    except ConfigError:
        if not additions:
            raise
        config = built(())
    kept: list[Addition] = []
    left: list[Problem] = []
    for addition in additions:
        try:
            config = built([*kept, addition])
        except ConfigError as error:
            why = next((one for one in error.problems if not one.warning), error.problems[0])
            text = f"{addition.title} (added in the dashboard) does not go with the files and is left out: {why.message}"
            left.append(Problem(Place(addition.name), why.path, text, warning=True))
        else:
            kept.append(addition)
    return dataclasses.replace(config, warnings=(*config.warnings, *left))


def left_out(config: Config, addition: Addition) -> list[Problem]:
    """Why it is not part of the configuration; empty when it is. Every other problem of an addition has a line."""
    return [problem for problem in config.warnings if problem.place == Place(addition.name)]
