"""Cron expressions."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tocsin.collect.cron import parse_cron


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("expression", "after", "expected", "zone"),
    [
        ("* * * * *", "2026-01-01T00:00:30", "2026-01-01T00:01:00", "UTC"),
        ("0 3 * * *", "2026-01-01T03:00:00", "2026-01-02T03:00:00", "UTC"),
        ("*/15 9-17 * * mon-fri", "2026-01-02T17:45:00", "2026-01-05T09:00:00", "UTC"),
        ("0 0 31 * *", "2026-02-01T00:00:00", "2026-03-31T00:00:00", "UTC"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00", "UTC"),
        ("0 12 1 * sun", "2026-01-01T12:00:00", "2026-01-04T12:00:00", "UTC"),
        ("0 0 * * 7", "2026-01-01T00:00:00", "2026-01-04T00:00:00", "UTC"),
        ("@monthly", "2026-01-01T00:00:00", "2026-02-01T00:00:00", "UTC"),
        ("5,10/20 * * jan *", "2026-01-01T00:06:00", "2026-01-01T00:10:00", "UTC"),
        ("30 2 * * *", "2026-03-28T12:00:00", "2026-03-29T03:30:00", "Europe/Paris"),
        ("30 2 * * *", "2026-10-25T02:30:00", "2026-10-26T02:30:00", "Europe/Paris"),
    ],
)
def test_the_next_moment(expression: str, after: str, expected: str, zone: str) -> None:
    assert parse_cron(expression).next_after(ms(after, zone), zone) == ms(expected, zone)


@pytest.mark.parametrize(
    "text", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "a * * * *", "5-1 * * * *", "*/0 * * * *"]
)
def test_what_is_not_cron_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_cron(text)


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="never"):
        parse_cron("0 0 31 2 *").next_after(0, "UTC")
