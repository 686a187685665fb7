"""Who asks again for what has not changed gets 304; long lists come in pages that neither repeat nor leave out a row."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.web.test_tocsin_api import FINGERPRINT, broken  # noqa: F401  (a fixture)

from tocsin.state.schema import incidents

API = "/api/tocsin/v1"


UNTIL_SOMETHING_HAPPENS = ("/overview", "/incidents", "/incidents/1", "/silences", "/notifications", "/config", "/oncall")
WITHIN_A_MOMENT = ("/alerts", f"/alerts/{FINGERPRINT}", "/checks", "/checks/shop")
"""These hold figures that move with time: uptime, strips."""


@pytest.mark.parametrize("path", [*UNTIL_SOMETHING_HAPPENS, *WITHIN_A_MOMENT])
async def test_what_has_not_changed_is_not_sent_again(broken: Any, path: str) -> None:  # noqa: F811
    viewer = await broken.as_role("viewer")
    first = await viewer.get(API + path)
    assert first.status == 200
    broken.clock.t_ms += 5 if path in UNTIL_SOMETHING_HAPPENS else 0  # the clock in the answer is no change
    again = await viewer.get(API + path, headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


async def test_a_change_has_another_etag_and_errors_have_none(broken: Any) -> None:  # noqa: F811
    viewer = await broken.as_role("viewer")
    before = (await viewer.get(API + "/config")).headers["etag"]
    broken.core.answers["config.state"]["yaml"] = "checks: [1]\n"
    broken.clock.t_ms += 10_000
    after = await viewer.get(API + "/config", headers={"if-none-match": before})
    assert (after.status, after.headers["etag"] != before) == (200, True)
    assert "etag" not in (await viewer.get(API + "/incidents/99999")).headers


async def test_pages_of_incidents_hold_each_once(broken: Any) -> None:  # noqa: F811
    def write(tx: Any) -> None:
        row = dict(tx.execute(sa.select(incidents)).mappings().one())
        for number in range(2, 8):
            tx.execute(sa.insert(incidents).values({**row, "number": number, "key": f"k{number}", "state": "resolved"}))

    broken.db.write_now(write)
    viewer = await broken.as_role("viewer")
    seen, cursor = [], ""
    while True:
        page = (await viewer.get(f"{API}/incidents?state=all&limit=3&cursor={cursor}")).json()
        seen += [row["number"] for row in page["incidents"]]
        if not (cursor := page["next"]):
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    for bad in ("limit=0", "limit=x", "cursor=-1", "limit=99999"):
        assert (await viewer.get(f"{API}/incidents?{bad}")).status == 400
