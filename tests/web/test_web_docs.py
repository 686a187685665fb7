"""docs/reference/http.md holds the route table as it is; `TOCSIN_WRITE_DOCS=1` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/reference/http.md"
_BEGIN, _END = "<!-- routes -->\n", "<!-- end of routes -->"


def table(endpoints) -> str:
    rows = sorted(
        f"| `{endpoint.path}` | {', '.join(sorted((endpoint.methods or set()) - {'HEAD'}))} | {endpoint.permission} "
        f"| {endpoint.summary.rstrip('.')} |"
        for endpoint in endpoints
        if not endpoint.summary.startswith("The dashboard's page")
    )
    return "| path | methods | who | what |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def test_the_http_page_holds_the_route_table_as_it_is(house):
    text = PAGE.read_text()
    wanted = table(house.client.app.endpoints)
    head, rest = text.split(_BEGIN)
    held, tail = rest.split(_END)
    if os.environ.get("TOCSIN_WRITE_DOCS"):
        PAGE.write_text(head + _BEGIN + wanted + _END + tail)
    else:
        assert held == wanted, "run TOCSIN_WRITE_DOCS=1 pytest tests/web/test_web_docs.py"
