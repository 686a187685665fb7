"""What is legal in a configuration and probably not meant: warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tocsin.config.tree import Path, Tree, path_text
from tocsin.errors import Problem
from tocsin.incidents.lint import Doubt, lint

if TYPE_CHECKING:
    from tocsin.config.load import Config


def doubts(config: Config, tree: Tree, now_ms: int) -> list[Problem]:
    """What is legal and probably not meant; also who cannot be reached in the 30 days from `now_ms` (0 = do not look ahead)."""
    out = [_of_people(doubt, tree) for doubt in lint(config.directory, now_ms)] if now_ms else []
    host = urlsplit(config.external_url).hostname or ""
    if (host == "localhost" or host.startswith("127.") or host == "::1") and not config.nobody_paged:
        text = "is a loopback address, but people are paged: the links in their messages will not open; set external_url"
        out.append(Problem(tree.place(("external_url",)), "external_url", text, warning=True))
    if config.nobody_paged:
        out.append(
            Problem(tree.place(()), "", "nobody is paged: no user and no receiver with a channel is configured", warning=True)
        )
    return out


def _of_people(doubt: Doubt, tree: Tree) -> Problem:
    """With the place where the user, team, schedule or policy stands."""
    section = _SECTIONS[doubt.kind]
    path: Path = (section,)
    for i, item in enumerate(tree.value.get(section) or ()):
        if isinstance(item, dict) and item.get("name") == doubt.name:
            path = (section, i)
    return Problem(tree.place(path), path_text(path), f"{doubt.kind} {doubt.name}: {doubt.text}", warning=True)


_SECTIONS = {"user": "users", "team": "teams", "schedule": "schedules", "policy": "policies"}
