"""Plans by place."""

from __future__ import annotations

import pytest

from tocsin.app.probedesk import ProbeDesk
from tocsin.collect.catalog import parse_check
from tocsin.errors import CommandError


async def test_a_place_gets_its_own_checks_and_places_are_bounded() -> None:
    desk = ProbeDesk(first_version=1)
    desk.apply([parse_check({"name": "far", "tcp": "127.0.0.1:1", "locations": ["paris"]}, source="t")])
    assert [spec.id for spec in (await desk.plan("paris", 0))["specs"]] == ["far"]  # type: ignore[attr-defined]
    assert (await desk.plan("local", 0))["specs"] == []
    for i in range(998):
        await desk.plan(f"p{i}", 0)
    with pytest.raises(CommandError, match="places asked for a plan") as caught:
        await desk.plan("one-more", 0)
    assert caught.value.status == 429
    assert (await desk.plan("paris", 0))["specs"]
