"""What is legal in a configuration and probably not meant: warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Path, Tree, path_text
from tocsin.incidents.doubt import Doubt
from tocsin.incidents.lint import lint

if TYPE_CHECKING:
    from tocsin.config.config import Config
    from tocsin.config.schema import OwnSections


def doubts(config: Config, tree: Tree, now_ms: int) -> tuple[list[Problem], list[Problem]]:
    """(warnings, faults): what is legal and probably not meant; and who cannot be reached in the 30 days from `now_ms`.

    Faults fail `tocsin config check` and are warnings for a server: it must come back when time alone made its file wrong
    (docs/decisions/0004-linter.md). `now_ms` 0 = do not look ahead.
    """
    found = lint(config.directory, now_ms) if now_ms else []
    faults = [_of_people(doubt, tree) for doubt in found if doubt.grave]
    out = [_of_people(doubt, tree) for doubt in found if not doubt.grave]
    host = urlsplit(config.external_url).hostname or ""
    if (host == "localhost" or host.startswith("127.") or host == "::1") and not config.nobody_paged:
        text = "is a loopback address, but people are paged: the links in their messages will not open; set external_url"
        out.append(Problem(tree.place(("external_url",)), "external_url", text, warning=True))
    if config.nobody_paged:
        out.append(
            Problem(tree.place(()), "", "nobody is paged: no user and no receiver with a channel is configured", warning=True)
        )
    return out, faults


def doubtful_components(own: OwnSections, known: set[str], tree: Tree) -> list[Problem]:
    """A component of checks that nobody declared would always be unknown (checks of the dashboard may be named too)."""
    out = []
    for i, page in enumerate(own.status_pages):
        for j, component in enumerate(page.components):
            for name in set(component.checks) - known:
                path = ("status_pages", i, "components", j, "checks")
                text = f"no check of this file has the id {name!r}; it is shown as unknown until there is one"
                out.append(Problem(tree.place(path), path_text(path), text, warning=True))
    return out


def _of_people(doubt: Doubt, tree: Tree) -> Problem:
    """With the place where the user, team, schedule or policy stands."""
    section = _SECTIONS[doubt.kind]
    path: Path = (section,)
    for i, item in enumerate(tree.value.get(section) or ()):
        if isinstance(item, dict) and item.get("name") == doubt.name:
            path = (section, i)
    return Problem(tree.place(path), path_text(path), f"{doubt.kind} {doubt.name}: {doubt.text}", warning=not doubt.grave)


_SECTIONS = {"user": "users", "team": "teams", "schedule": "schedules", "policy": "policies"}
