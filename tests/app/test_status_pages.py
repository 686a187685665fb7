"""Status pages from a configuration: which planned work covers a component; pages that do not exist; the export command."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tocsin.app.statuspages import pages_of, published_on, with_added
from tocsin.cli.config import load
from tocsin.cli.statuspage import statuspage
from tocsin.errors import CommandError
from tocsin.model.event import Actor
from tocsin.state.schema import declared_checks, metadata, status_updates
from tocsin.state.sql import Database, sqlite_url

NOW_MS = int(dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
FILE = """
global: {external_labels: {site: paris}}
status_pages:
  - slug: shop
    title: Shop
    components: [{name: Website, checks: [web]}, {name: Payments, checks: [pay, added]}]
checks:
  - {name: web, type: tcp, settings: {host: 127.0.0.1, port: 9}}
  - {name: pay, type: tcp, settings: {host: 127.0.0.1, port: 9}, labels: {service: pay}}
maintenance:
  - name: secret-host-7
    matchers: ['service="pay"']
    start: "2026-11-22 11:00"
    duration: 2h
    rrule: FREQ=WEEKLY
    comment: hush
    public: Moving.
  - {name: all-of-paris, matchers: ['site="paris"', 'alertname="CheckDown"'], start: "2026-11-30 11:00", duration: 1h}
  - {name: elsewhere, matchers: ['service="mail"'], start: "2026-11-22 11:00", duration: 2h}
  - {name: over, matchers: ['service="pay"'], start: "2026-11-22 11:00", duration: 1h}
  - {name: of-the-added, matchers: ['check="added"'], start: "2026-11-23 11:00", duration: 1h, public: For the added one.}
"""


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "tocsin.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def state(tmp_path: Path):
    (tmp_path / "data").mkdir()
    db = Database(sqlite_url(tmp_path / "data" / "state.db"), inline=True)
    metadata.create_all(db.engine)
    yield db
    db.close()


def test_planned_work_covers_the_components_whose_alerts_it_would_mute(config_path):
    rows = pages_of(load((config_path,)), NOW_MS)["shop"]["maintenance"]
    assert [(row["text"], row["components"], len(row["times"])) for row in rows] == [
        ("Moving.", ["Payments"], 3),
        ("", ["Website", "Payments"], 1),
    ]
    assert rows[0]["times"][0] == [NOW_MS - HOUR_MS, NOW_MS + HOUR_MS]
    assert "secret-host-7" not in str(rows) and "hush" not in str(rows)


def test_checks_of_the_dashboard_count_and_one_that_is_not_valid_any_more_does_not(config_path, state):
    def write(tx):
        for name, spec in (
            ("added", {"name": "added", "type": "tcp", "settings": {"host": "a", "port": 1}}),
            ("old", {"type": "x"}),
        ):
            tx.execute(sa.insert(declared_checks).values(id=name, spec=spec, created_by="user:ana", created_ms=1))

    state.write_now(write)
    config = state.read_now(lambda tx: with_added(load((config_path,)), tx))
    texts = [row["text"] for row in pages_of(config, NOW_MS)["shop"]["maintenance"]]
    assert texts == ["Moving.", "", "For the added one."]


async def test_the_page_may_be_left_out_when_there_is_one_and_must_exist(config_path):
    config, seen = load((config_path,)), []

    async def publish(args, actor):
        seen.append(args)

    run = published_on(lambda: config, publish)
    await run({"number": 1, "page": ""}, Actor("cli", "ana"))
    assert seen == [{"number": 1, "page": "shop", "page_title": "Shop", "components": {}}]
    with pytest.raises(CommandError, match="no status page 'shap'; there are: shop"):
        await run({"number": 1, "page": "shap"}, Actor("cli", "ana"))


def test_the_page_is_exported_while_nothing_runs_and_then_is_not_green(config_path, state, tmp_path):
    row = {"page": "shop", "incident": 3, "state": "identified", "title": "Orders fail", "text": "A disk.", "published_by": "ana"}
    state.write_now(lambda tx: tx.execute(sa.insert(status_updates).values(**row, t_ms=1)))
    arguments = ["--config", str(config_path), "--data-dir", str(tmp_path / "data")]
    done = CliRunner().invoke(statuspage, ["export", "shop", str(tmp_path / "out"), *arguments])
    assert done.exit_code == 0 and "index.html" in done.output and "silent" in done.output
    text = (tmp_path / "out" / "index.html").read_text()
    assert "not reporting" in text and "Operational" not in text
    failed = CliRunner().invoke(statuspage, ["export", "shap", str(tmp_path / "out"), *arguments])
    assert isinstance(failed.exception, CommandError) and "there are: shop" in str(failed.exception)
    (tmp_path / "file").write_text("")
    failed = CliRunner().invoke(statuspage, ["export", "shop", str(tmp_path / "file" / "out"), *arguments])
    assert isinstance(failed.exception, CommandError) and "cannot write" in str(failed.exception)
