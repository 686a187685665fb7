"""Generated pages are current, links lead somewhere, and everything that can be used has its page."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_generated_reference_pages_are_current() -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "tools" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.pages().items():
        assert (DOCS / "reference" / name).read_text() == text, f"{name} is out of date: run tools/make_reference.py"


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


@pytest.mark.parametrize("page", [str(p.relative_to(ROOT)) for p in PAGES])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        file = path.parent / target if target else path
        assert file.exists(), f"{page} links to {target}, which does not exist"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text()), f"{page} links to {target}#{anchor}: no heading of that name"


def anchors(text: str) -> set[str]:
    """What a link may name behind `#`: headings as GitHub writes them, and what is marked by hand."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain} | set(
        re.findall(r'<a id="([^"]+)"', text)
    )


def test_no_file_of_ours_is_too_long_to_live_in() -> None:
    """STYLE: none above 500 lines."""
    long = {str(p.relative_to(ROOT)): n for p in (ROOT / "src").rglob("*.py") if (n := len(p.read_text().splitlines())) > 500}
    generated = {name for name in long if "migrations/versions" in name}
    assert set(long) <= generated, long


def test_nobody_reads_the_clock_but_the_clock() -> None:
    pattern = re.compile(r"time\.time\(|datetime\.now\(|datetime\.utcnow\(|time\.time_ns\(")
    readers = [
        str(p.relative_to(ROOT)) for p in (ROOT / "src").rglob("*.py") if pattern.search(p.read_text()) and p.name != "clock.py"
    ]
    assert readers == []


def test_no_machine_path_and_no_registry_host_is_in_the_lock_files() -> None:
    for name in (
        "requirements/run.txt",
        "requirements/dev.txt",
        "requirements/build.txt",
        "requirements/extras.txt",
        "ui/package-lock.json",
        "instrument/node/package-lock.json",
    ):
        text = (ROOT / name).read_text()
        assert not re.search(
            r'"resolved":|--(extra-)?index-url|--find-links|https?://[^"/]*(registry|pypi|pythonhosted|npmjs)', text
        ), name
