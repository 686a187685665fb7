"""The looks of status pages: a logo beside the configuration becomes part of the page, which asks nobody else for anything."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from tocsin.config.schema import StatusPage
from tocsin.errors import Problem
from tocsin.formats.yaml_tree import Tree, path_text

MOST_BYTES = 8 * 1024
"""Of a logo: the whole page fits into the first packets of a connection (14 KB)."""
_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def with_logos(pages: Iterable[StatusPage], tree: Tree) -> tuple[tuple[StatusPage, ...], list[Problem]]:
    """The pages with `logo` as a data URL in place of the file's name, and what is wrong with the files."""
    out, problems = [], []
    for i, page in enumerate(pages):
        wrong, url = "", ""
        if page.logo:
            try:
                url = _data_url(Path(tree.file).parent / page.logo)
            except (OSError, ValueError) as error:
                wrong = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        if wrong:
            path = ("status_pages", i, "logo")
            problems.append(Problem(tree.place(path), path_text(path), f"{page.logo}: {wrong}"))
        out.append(page.model_copy(update={"logo": url}))
    return tuple(out), problems


def _data_url(file: Path) -> str:
    """Raises OSError, ValueError for what is no small SVG or PNG."""
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise ValueError("expected a file that ends with .svg or .png")
    content = file.read_bytes()
    if len(content) > MOST_BYTES:
        raise ValueError(f"is {len(content):,} bytes; at most {MOST_BYTES:,}, so that the page stays small")
    if not (content.startswith(b"\x89PNG\r\n") if kind == "image/png" else b"<svg" in content):
        raise ValueError("is not what its name says")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
