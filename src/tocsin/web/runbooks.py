"""`/runbooks`: what the shipped alerts mean and what helps, as a page that a link in a message opens.

The text is `docs/operations/runbooks.md`, in an installed package beside this module. Only what that text uses of Markdown is
understood: headings, paragraphs, lists, fenced and inline code, links inside the page.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.html import page

_INLINE = re.compile(r"`([^`]+)`|\[([^\]]+)\]\((#[a-z0-9-]+)\)")
_ITEM = re.compile(r"(?:\d+\.|-)\s+(.*)")


class Runbooks:
    """The page; public, because whoever was paged may not be signed in on the telephone, and it holds nothing of yours."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("/runbooks", self.show, permission=Permission.PUBLIC, errors=Errors.PAGE)]

    async def show(self, _request: Request) -> Response:
        """Every runbook, with an anchor for each."""
        title, body = text()
        return HTMLResponse(page(title, body=body, prefix=self._desk.settings.route_prefix))


@lru_cache(maxsize=1)
def text() -> tuple[str, str]:
    """Title and HTML."""
    packaged = Path(__file__).with_name("runbooks.md")
    clone = Path(__file__).resolve().parents[3] / "docs" / "operations" / "runbooks.md"
    return render((packaged if packaged.exists() else clone).read_text())


def render(markdown: str) -> tuple[str, str]:
    """Title (the first heading) and HTML of the rest; every text is escaped."""
    title, out = "", []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        lines = block.splitlines()
        if lines[0].startswith("# "):
            title = lines[0][2:].strip()
        elif lines[0].startswith("## "):
            name = lines[0][3:].strip()
            out.append(f'<h2 id="{escape(anchor(name))}">{escape(name)}</h2>')
            if lines[1:]:
                out.append(f"<p>{_inline(' '.join(lines[1:]))}</p>")
        elif lines[0].startswith("```"):
            out.append("<pre>" + escape("\n".join(lines[1:-1])) + "</pre>")
        elif _ITEM.match(lines[0]):
            out.append(_items(lines))
        else:
            out.append(f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>")
    return title, "".join(out)


def _items(lines: list[str]) -> str:
    items: list[str] = []
    for line in lines:
        found = _ITEM.match(line)
        if found:
            items.append(found[1])
        else:
            items[-1] += " " + line.strip()
    kind = "ol" if lines[0][0].isdigit() else "ul"
    return f"<{kind}>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + f"</{kind}>"


def _inline(line: str) -> str:
    out, at = [], 0
    for found in _INLINE.finditer(line):
        out.append(escape(line[at : found.start()]))
        out.append(f"<code>{escape(found[1])}</code>" if found[1] else f'<a href="{escape(found[3])}">{escape(found[2])}</a>')
        at = found.end()
    return "".join([*out, escape(line[at:])])


def anchor(heading: str) -> str:
    """As code hosts make it: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
