"""The eleven holes of Alertmanager: the documentation lists each with its test, and the tests are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_hole_that_the_documentation_lists_is_a_test() -> None:
    rows = re.findall(r"^\| (H\d+) \|.*\| `(test_\w+)` \|$", (ROOT / "docs/reference/routing.md").read_text(), re.MULTILINE)
    assert [number for number, _ in rows] == [f"H{n}" for n in range(1, 12)]
    files = ("test_alertmanager_holes.py", "test_alertmanager_delivery_holes.py")
    text = "".join((ROOT / "tests/conformance" / name).read_text() for name in files)
    assert {name for _, name in rows} == set(re.findall(r"^def (test_h\d+_\w+)\(", text, re.MULTILINE))
