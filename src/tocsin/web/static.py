"""The built dashboard: hashed files for ever, index never, and only under the prefixes of the URL grammar.

Every other unknown path stays a plain 404 (Grafana depends on it).
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.web.answers import accepts_gzip
from tocsin.web.desk import Desk
from tocsin.web.endpoint import Endpoint, Errors, Permission
from tocsin.web.html import page
from tocsin.web.problem import not_found

# First path segments of the pages (ui/src/lib/routes.ts); `/` itself too.
PAGES = (
    "overview", "services", "hosts", "checks", "explore", "dashboards", "d", "alerts", "incidents", "oncall", "notifications",
    "silences", "maintenance", "statuspages", "reports", "coverage", "settings", "self", "proof", "targets", "rules", "more",
    "search", "help",
)  # fmt: skip
LINKED = frozenset((*PAGES, "", "i"))
"""What a stored link may lead to: `/` and an incident by its number, too."""
_FOREVER = "public, max-age=31536000, immutable"
_ROOT_FILES = ("favicon.ico", "favicon.svg", "robots.txt", "manifest.webmanifest", "apple-touch-icon.png", "icon.svg")
# What a page asks for at once, told with the page: the browser fetches it while the program is still on its way.
_ASKED_FIRST = ("/session",)
_OF_THE_OVERVIEW = ("/overview",)
_API = "/api/tocsin/v1"
# How the addresses in the built index.html begin (ui/vite.config.js).
_ADDRESSES = ("/assets/", "/favicon.svg")


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    gz: Path | None
    media_type: str
    forever: bool


class Dashboard:
    """Serves the files of one build; the list is read once, so no request can name another file."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        root = desk.parts.static or _find_build()
        self._files = _files_of(root) if root is not None else {}
        self._styles = (Path(__file__).parent / "pages.css").read_bytes()

    def endpoints(self) -> list[Endpoint]:
        shown = partial(Endpoint, permission=Permission.VIEWER, errors=Errors.PAGE)
        public = partial(Endpoint, permission=Permission.PUBLIC, errors=Errors.PLAIN)
        endpoints = [shown("/", self.index)]
        for name in PAGES:
            endpoints += [shown(f"/{name}", self.index), shown(f"/{name}/{{rest:path}}", self.index)]
        endpoints += [public(f"/{name}", self.file) for name in _ROOT_FILES]
        return [
            *endpoints,
            public("/static/pages.css", self.styles),
            public("/assets/{rest:path}", self.file),
        ]

    async def index(self, request: Request) -> Response:
        """The dashboard's page."""
        found = self._files.get("index.html")
        if found is None:
            return HTMLResponse(self._unbuilt())
        prefix = self._desk.settings.route_prefix
        answer = _send_prefixed(request, found, prefix) if prefix else _send(request, found)
        answer.headers["link"] = _asked_first(request, prefix)
        return answer

    async def file(self, request: Request) -> Response:
        """A file of the build."""
        found = self._files.get(request.scope["path"].lstrip("/"))
        return _send(request, found) if found is not None else not_found()

    async def styles(self, request: Request) -> Response:
        """The style sheet of the server-rendered pages."""
        return Response(self._styles, media_type="text/css", headers={"cache-control": "public, max-age=3600"})

    def _unbuilt(self) -> str:
        lines = (
            "Tocsin runs, but its dashboard has not been built here.",
            "In a checkout, `make ui` builds it (or TOCSIN_UI=build when installing). The APIs answer all the same.",
        )
        links = (("health", self._desk.path("/-/healthy")), ("metrics", self._desk.path("/metrics")))
        return page("Tocsin", lines, links=links, prefix=self._desk.settings.route_prefix)


def _asked_first(request: Request, prefix: str) -> str:
    """The Link header of a page. Nothing that the page may not ask for: what is not used is fetched in vain."""
    of_now = request.scope["path"] == "/" and not {"at", "scope"} & request.query_params.keys()
    paths = (*_ASKED_FIRST, *(_OF_THE_OVERVIEW if of_now else ()))
    return ", ".join(f"<{prefix}{_API}{path}>; rel=preload; as=fetch; crossorigin" for path in paths)


def _find_build() -> Path | None:
    """`tocsin/web/static` of an installed package, else `ui/dist` of a checkout."""
    here = Path(__file__).parent
    for root in (here / "static", here.parents[2] / "ui" / "dist"):
        if (root / "index.html").is_file():
            return root
    return None


def _files_of(root: Path) -> dict[str, _File]:
    files: dict[str, _File] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix != ".gz":
            name = path.relative_to(root).as_posix()
            gz = path.with_name(path.name + ".gz")
            media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            files[name] = _File(path, gz if gz.is_file() else None, media_type, name.startswith("assets/"))
    return files


def _send_prefixed(request: Request, found: _File, prefix: str) -> Response:
    """index.html with the route prefix before its addresses; everything else of the build finds itself relative to them.

    Never the `.gz` twin: that one knows no prefix. The prefix is safe in HTML and in a header (see config/schema.py).
    """
    stat = found.path.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}-{prefix}"'
    headers = {"cache-control": "no-cache", "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    text = found.path.read_text(encoding="utf-8")
    for address in _ADDRESSES:
        text = text.replace(f'"{address}', f'"{prefix}{address}')
    return HTMLResponse(text, headers=headers)


def _send(request: Request, found: _File) -> Response:
    headers = {"cache-control": _FOREVER if found.forever else "no-cache", "vary": "accept-encoding"}
    compressed = found.gz is not None and accepts_gzip(request)
    path = found.gz if compressed and found.gz is not None else found.path
    stat = path.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    headers["etag"] = etag
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if compressed:
        headers["content-encoding"] = "gzip"
    return Response(path.read_bytes(), headers=headers, media_type=found.media_type)
