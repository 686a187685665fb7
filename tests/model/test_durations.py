"""Durations: as Prometheus writes them, and as people write them in files and forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.duration import duration_setting_ms, format_duration, parse_duration_ms


@given(st.integers(0, 9 * 10**12))
def test_what_is_printed_is_read_back(ms: int) -> None:
    assert parse_duration_ms(format_duration(ms)) == ms


@pytest.mark.parametrize(("value", "ms"), [("30s", 30_000), ("1h30m", 5_400_000), ("0", 0), (0, 0), ("1d2h", 93_600_000)])
def test_a_setting_is_a_duration_with_a_unit_or_nothing(value: object, ms: int) -> None:
    assert duration_setting_ms(value) == ms


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (30, "such as 30s or 30m"),
        (True, "such as 30s, 5m"),
        (1.5, "such as 30s, 5m"),
        (None, "such as 30s"),
        ("30", "not a valid duration"),
    ],
)
def test_a_setting_that_is_none_says_what_was_expected(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        duration_setting_ms(value)
