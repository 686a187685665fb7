"""An incident is silent when every alert that counts is suppressed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from tests.fakes.house import alert

from tocsin.alerts.rows import KnownAlert, write_alerts
from tocsin.incidents import rows
from tocsin.model.alert import SuppressedBy, Suppression
from tocsin.model.incident import Incident, IncidentState, Policy, Urgency
from tocsin.model.labels import Labels
from tocsin.state.muted import muted
from tocsin.state.schema import metadata
from tocsin.state.sql import Database, sqlite_url

SILENCED = (SuppressedBy(Suppression.SILENCED, "s1"),)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Connection]:
    db = Database(sqlite_url(tmp_path / "state.db"), inline=True)
    metadata.create_all(db.engine)
    with db.engine.begin() as connection:
        yield connection
    db.close()


def member(tx: Connection, name: str, *, fires: bool, silenced: bool) -> None:
    one = alert(name, ends_at_ms=0 if fires else 5)
    write_alerts(tx, [KnownAlert(one.fingerprint, one, SILENCED if silenced else ())])
    rows.put_alerts(tx, 1, [one], {}, ended_ms=0 if fires else 5)


@pytest.mark.parametrize(
    ("first", "second", "quiet"),
    [
        ((True, True), (True, True), True),
        ((True, True), (True, False), False),
        ((True, True), (False, False), True),
        # Nothing fires for the moment, as while it flaps: a silence over all of it is kept all the same.
        ((False, True), (False, True), True),
        ((False, True), (False, False), False),
    ],
)
def test_which_alerts_count(tx: Connection, first: tuple[bool, bool], second: tuple[bool, bool], quiet: bool) -> None:
    """(fires, silenced) of two alerts."""
    new = Incident(
        number=0, key="k", generation=1, title="", severity="", urgency=Urgency.HIGH, state=IncidentState.TRIGGERED,
        receiver="web", policy=Policy("p", (), 0), group_labels=Labels({}), service="", created_ms=1, updated_ms=1,
    )  # fmt: skip
    assert rows.insert(tx, new, extra={}).number == 1
    for name, (fires, silenced) in (("A", first), ("B", second)):
        member(tx, name, fires=fires, silenced=silenced)
    assert tx.execute(sa.text("select count(*) from incident_alerts")).scalar() == 2
    assert muted(tx, [1]) == ({1: "silenced by s1"} if quiet else {})
