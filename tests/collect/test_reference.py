"""The reference page of the checks is what the registry says."""

from __future__ import annotations

from pathlib import Path

from tocsin.collect.catalog import check_types
from tocsin.collect.reference import checks_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == checks_reference(), "write docs/reference/checks.md anew with checks_reference()"


def test_every_type_has_a_target_and_a_docstring() -> None:
    for name, cls in check_types().items():
        assert cls.__doc__, name
        assert cls.type_name == name
