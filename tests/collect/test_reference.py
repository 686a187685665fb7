"""The reference page of the checks is what the registry says."""

from __future__ import annotations

from pathlib import Path

import yaml

from tocsin.collect.catalog import check_types, parse_check
from tocsin.collect.reference import checks_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "checks.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == checks_reference(), "write docs/reference/checks.md anew with checks_reference()"


def test_every_type_has_a_target_and_a_docstring() -> None:
    for name, cls in check_types().items():
        assert cls.__doc__, name
        assert cls.type_name == name


def test_every_type_has_an_example_that_is_read_and_names_its_evidence() -> None:
    for name, cls in check_types().items():
        assert parse_check(yaml.safe_load(cls.example)).type == name
        assert cls.evidence, name
