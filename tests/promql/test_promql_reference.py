"""Every function has a summary and its row on the reference page."""

from __future__ import annotations

from pathlib import Path

from tocsin.promql.functions import FUNCTIONS
from tocsin.promql.reference import reference


def test_every_function_says_what_it_does() -> None:
    assert not [name for name, function in FUNCTIONS.items() if not function.summary.endswith((".", ")"))]


def test_the_reference_page_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "promql.md"
    assert page.read_text() == reference(), "run: PYTHONPATH=src python -m tocsin.promql.reference > docs/reference/promql.md"
