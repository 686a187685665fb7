"""The runbooks that messages link to are served, with an anchor for each section and every text escaped."""

from __future__ import annotations

import re
from pathlib import Path

from tocsin.web.runbooks import render, text

SOURCE = Path(__file__).resolve().parents[2] / "docs" / "operations" / "runbooks.md"


def test_every_section_has_its_anchor_and_links_inside_lead_to_one() -> None:
    title, body = text()
    anchors = set(re.findall(r'<h2 id="([^"]+)"', body))
    assert title == "Runbooks"
    assert len(anchors) == SOURCE.read_text().count("\n## ")
    assert set(re.findall(r'href="#([^"]+)"', body)) <= anchors


def test_texts_are_escaped_and_lists_and_code_are_kept() -> None:
    _, body = render("# T\n\n## A <b>\n\nsay `x < 1` & [go](#a)\n\n1. one\n   more\n2. two\n")
    assert '<h2 id="a-b">A &lt;b&gt;</h2>' in body
    assert '<code>x &lt; 1</code> &amp; <a href="#a">go</a>' in body
    assert "<ol><li>one more</li><li>two</li></ol>" in body
