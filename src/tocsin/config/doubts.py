"""What is legal in a configuration and probably not meant: warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tocsin.config.tree import Tree
from tocsin.errors import Problem

if TYPE_CHECKING:
    from tocsin.config.load import Config


def doubts(config: Config, tree: Tree) -> list[Problem]:
    """What is legal and probably not meant."""
    out = []
    host = urlsplit(config.external_url).hostname or ""
    if (host == "localhost" or host.startswith("127.") or host == "::1") and not config.nobody_paged:
        text = "is a loopback address, but people are paged: the links in their messages will not open; set external_url"
        out.append(Problem(tree.place(("external_url",)), "external_url", text, warning=True))
    if config.nobody_paged:
        out.append(
            Problem(tree.place(()), "", "nobody is paged: no user and no receiver with a channel is configured", warning=True)
        )
    return out
