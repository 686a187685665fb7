"""What the parent learns of the state before it starts anything: new and older ones are brought up to date aside."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from tocsin.app import ServeSettings, migrate
from tocsin.app.preflight import preflight
from tocsin.errors import StateError
from tocsin.state.sql import create_engine, sqlite_url


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    return ServeSettings(config_paths=(tmp_path / "tocsin.yaml",), config_optional=True, data_dir=tmp_path / "data")


def _say_revision(settings: ServeSettings, revision: str) -> None:
    engine = create_engine(sqlite_url(settings.state_path))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    engine.dispose()


def test_a_new_state_is_made_once(settings: ServeSettings) -> None:
    settings.data_dir.mkdir()
    assert preflight(settings), "there is nothing yet"
    migrate(settings.data_dir)
    assert settings.state_path.stat().st_mode & 0o777 == 0o600
    assert not preflight(settings), "a restart has nothing to upgrade"
    migrate(settings.data_dir)  # and to ask once more changes nothing


def test_an_older_state_is_to_be_upgraded_and_a_newer_one_refused(settings: ServeSettings) -> None:
    settings.data_dir.mkdir()
    migrate(settings.data_dir)
    _say_revision(settings, "0001")
    assert preflight(settings)
    _say_revision(settings, "9999")
    with pytest.raises(StateError, match="newer Tocsin"):
        preflight(settings)
